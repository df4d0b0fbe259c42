// The order of writes at grant, renewal and revocation: one list each, every step with the reason of its place.
// Safety lies in these orders. A step that fails ends a grant or a renewal; a revocation goes on to its last step whatever fails.
import type { Enforcer } from '../core/types.ts';
import { DONE, failed, type LinkPort, type Outcome, type VipParts } from './vip-ports.ts';

/** What the address is held under. `enforceAt` is monotonic ms. */
export type Claim = {
  readonly epoch: number;
  readonly enforceAt: number;
  /** What ends the address if this agent stops, as it was proven when the claim was granted. Without it, this claim must end. */
  readonly enforcer: Enforcer;
};

/** How a grant or a renewal ended; `late` and `overtaken` are no fault of this node. */
export type Progress =
  | { readonly k: 'done' }
  | { readonly k: 'late' }
  | { readonly k: 'overtaken' }
  | { readonly k: 'failed'; readonly why: string };

/** Milliseconds by step, as the history shows them. */
export type Phases = Record<string, number>;

/** A claim that is carried; `place`: the address is missing, and the agent may put it on itself. */
type Placing = Claim & { readonly place: boolean };

type Step = { readonly name: string; readonly run: () => Outcome | Promise<Outcome> };

function holdSteps(parts: VipParts, claim: Placing): readonly Step[] {
  const { files, link } = parts;
  return [
    // First: with a closed fence the first answers would be dropped.
    { name: 'fence', run: () => openFence(parts, claim) },
    // Before `lease`: the dead-man script must find a limit when it sees the claim.
    { name: 'deadline', run: () => files?.deadline(claim.enforceAt) ?? DONE },
    // Before `lease`: the priority must be this epoch's when keepalived leaves FAULT.
    { name: 'epoch', run: () => files?.epoch(claim.epoch) ?? DONE },
    // Last: from here on keepalived puts the address up. Written at renewals too: a restarted keepalived has zeroed it.
    { name: 'lease', run: () => files?.lease(true) ?? DONE },
    // keepalived needs 20-30 ms for that, and finds it there. After `lease`: from the first moment on keepalived is on its way to stand behind it.
    ...(claim.place && mayPlace(parts, claim) ? [{ name: 'place', run: () => place(parts) }] : []),
    // Without keepalived the agent is the actuator, behind a proven fence or a lifetime only. With it, and without a fence, each renewal
    // moves the lifetime of the address on.
    { name: 'link', run: () => (link === null ? DONE : parts.linkIsActuator ? put(link, claim) : limit(parts, claim)) },
  ];
}

/**
 * May the agent put the address on beside keepalived? Only where the kernel itself ends it in time, and never against keepalived's word: who was
 * overruled by a newer epoch on the wire is a holder of the past that does not know it yet.
 */
export function mayPlace(parts: VipParts, claim: Claim): boolean {
  return parts.link !== null && !parts.linkIsActuator && claim.enforcer === 'nft' && parts.keepalived?.overruled() !== true;
}

function place(parts: VipParts): Outcome {
  parts.link?.place();
  // Nothing depends on it: keepalived comes in any case, and the address is waited for.
  return DONE;
}

function put(link: LinkPort, claim: Claim): Outcome | Promise<Outcome> {
  const { enforcer, enforceAt } = claim;
  if (enforcer !== 'nft' && enforcer !== 'valid_lft') return failed('driver address needs the kernel fence, or lifetimes of addresses');
  return link.on(enforceAt, enforcer !== 'nft');
}

/** Sets the lifetime where that is the enforcer; the address must be there already. */
export function limit(parts: VipParts, claim: Claim): Outcome | Promise<Outcome> {
  if (claim.enforcer !== 'valid_lft' || parts.linkIsActuator || parts.link === null || parts.watch?.present() !== true) return DONE;
  return parts.link.limit(claim.enforceAt);
}

/**
 * Grants the address, or renews it: both are the same writes in the same order.
 * `wanted` is asked before each step, so that a revocation does not wait for a renewal; the clock is asked too, since this process may have
 * stood still between two steps.
 */
export async function hold(parts: VipParts, claim: Placing, wanted: () => boolean, phases: Phases): Promise<Progress> {
  for (const step of holdSteps(parts, claim)) {
    if (!wanted()) return { k: 'overtaken' };
    if (parts.now() >= claim.enforceAt) return { k: 'late' };
    const outcome = await timed(parts, step, phases);
    if (!outcome.ok) return parts.now() >= claim.enforceAt ? { k: 'late' } : { k: 'failed', why: `${step.name}: ${outcome.why}` };
  }
  return parts.now() >= claim.enforceAt ? { k: 'late' } : { k: 'done' };
}

/** A fence that the claim does not rely on is opened as well as can be: a table that is there, but closed, would silence the holder. */
async function openFence(parts: VipParts, claim: Claim): Promise<Outcome> {
  if (parts.fence === null) return DONE;
  const opened = await parts.fence.open(claim.enforceAt);
  return opened.ok || claim.enforcer === 'nft' || parts.fenceRequired ? opened : DONE;
}

/**
 * Takes the address down and closes the fence, and confirms both. `enforceAt` is that of the claim that ends, 0 when there is none.
 * The outcome says whether "off" was confirmed; without that the lease must not be released.
 */
export async function revoke(parts: VipParts, enforceAt: number, phases: Phases): Promise<Outcome> {
  // Resets need the address and an open fence to leave the host: before everything else, and only while they can.
  const resets = parts.watch?.any() !== false;
  if (resets && parts.now() < enforceAt) await reset(parts, phases);
  const problems: string[] = [];
  const note = (name: string, outcome: Outcome) => {
    if (!outcome.ok) problems.push(`${name}: ${outcome.why}`);
  };
  // keepalived says goodbye (priority 0) and removes the address within milliseconds.
  note('lease', await timed(parts, { name: 'lease', run: () => parts.files?.lease(false) ?? DONE }, phases));
  // keepalived removes what it has put on or found; what it never came to, the agent takes away. Nobody waits for it: "off" is looked at below.
  if (resets && !parts.linkIsActuator) parts.link?.drop();
  // Driver address has no keepalived: the agent removes it.
  if (parts.linkIsActuator) note('link', await timed(parts, { name: 'link', run: () => parts.link?.off() ?? DONE }, phases));
  // The kernel closes, whatever keepalived does.
  const closed = await timed(parts, { name: 'fence', run: () => parts.fence?.close() ?? DONE }, phases);
  note('fence', closed);
  // Only what was seen to be off is off.
  const off = await timed(parts, { name: 'off', run: () => confirmOff(parts) }, phases);
  note('address', off);
  // Too late for a reset, yet Ollama should not go on answering nobody.
  if (resets && parts.now() >= enforceAt) await reset(parts, phases);
  const fenceMatters = parts.fence !== null && parts.fenceRequired;
  return off.ok && (closed.ok || !fenceMatters) ? DONE : failed(problems.join('; '));
}

/** A reset that fails changes nothing for the lease: the connections die silently, as they would without it. */
async function reset(parts: VipParts, phases: Phases): Promise<void> {
  const outcome = await timed(parts, { name: 'sockets', run: () => parts.killSockets?.() ?? DONE }, phases);
  if (!outcome.ok) parts.log('warn', 'vip.sockets', `open connections of the address were not reset: ${outcome.why}`);
}

async function confirmOff(parts: VipParts): Promise<Outcome> {
  const { watch, link } = parts;
  if (watch === null) return DONE;
  const offMs = parts.limits?.offMs ?? 150;
  if (await watch.until(false, offMs)) return DONE;
  // keepalived is frozen or deaf: the address goes without it.
  const removed = (await link?.off()) ?? failed('nobody here can remove it');
  if (await watch.until(false, offMs)) return DONE;
  return failed(removed.ok ? 'still on the interface' : `still on the interface; ${removed.why}`);
}

async function timed(parts: VipParts, step: Step, phases: Phases): Promise<Outcome> {
  const from = parts.now();
  const outcome = await step.run();
  phases[step.name] = Math.round((parts.now() - from) * 100) / 100;
  return outcome;
}
