// Moves the address after the lease. Level triggered: `apply` notes the newest want, one worker brings the world level with it.
//
// unknown --want off--> off (revoked, confirmed)      unknown: nobody knows what an earlier process left behind
//    |                   |  ^
//    +----- want on -----+  |  want off, lapse, failure, address lost
//                        v  |
//                       held (arming until the address is seen, then confirmed)
//
// Rules: doubt means off. A claim that failed here is barred: its epoch is never taken up again. `ended` is reported only while the want is
// off and both address and fence are confirmed off. What a grant or a revocation writes, and why in that order, stands in vip-order.ts.
import type { VipWant } from '../core/io.ts';
import type { Enforcer } from '../core/types.ts';
import { disagreement, type Vrrp } from '../core/vip/agreement.ts';
import type { VipPort } from './ports.ts';
import { type Claim, hold, limit, mayPlace, type Phases, revoke } from './vip-order.ts';
import type { VipLimits, VipParts } from './vip-ports.ts';
import { VIP_LIMITS } from './vip-ports.ts';
import { createProof } from './vip-proof.ts';
import { createWorker } from './worker.ts';

/** What status shows of the address on this node. */
export type VipView = {
  readonly state: 'unknown' | 'arming' | 'held' | 'off' | 'stuck';
  readonly fence: Enforcer;
  /** Monotonic ms; 0 = not held. */
  readonly enforceAt: number;
  /** Why the fence is not proven, or the address not off; '' = nothing to say. */
  readonly problem: string;
  /** keepalived's own view; null = it does not move the address here. */
  readonly keepalived: Vrrp | null;
  /** Where agent and keepalived have differed for more than a second; '' = nowhere. */
  readonly differs: string;
};

type Held = {
  readonly k: 'held';
  readonly claim: Claim;
  readonly phases: Phases;
  readonly armedAt: number;
  /** The address was seen on the interface. */
  readonly confirmed: boolean;
  /** Since when the address is missing; null = it is there, or not yet expected. */
  readonly missingSince: number | null;
  readonly restoredAt: number;
  /** Since when keepalived has not stood behind the address; null = it does. */
  readonly aloneSince: number | null;
};

type State =
  | { readonly k: 'unknown' }
  | Held
  /** `problem` '' = confirmed off. */
  | { readonly k: 'off'; readonly problem: string; readonly phases: Phases };

/** A grant that rests on the lifetime of the address needs this much, ms. */
const LIFETIME_LEFT_MS = 1200;
/** How often a missing address is put back at most, ms: by way of keepalived, or directly. */
const RESTORE_EVERY_MS = 500;
const PLACE_EVERY_MS = 50;
/** How often an armed address is looked for beside the pushed changes, ms. */
const ARMING_POLL_MS = 10;
/** An address that would not go is tried again this often, ms. */
const STUCK_RETRY_MS = 100;

/** Opens the actuator. Facts to the sink: fence, granted, ended, address. Nothing is touched before the first `apply`. */
export function createVip(parts: VipParts): VipPort & { view(): VipView } {
  const limits: VipLimits = { ...VIP_LIMITS, ...parts.limits };
  const proof = createProof(parts, limits);
  let want: VipWant | null = null;
  let state: State = { k: 'unknown' };
  let endedEpoch: number | null = null;
  let barredEpoch = -1;
  let choresDue = true;
  let rewriteDue = false;
  /** Until when the fence was last opened; 0 = it is closed. */
  let openUntil = 0;
  let closed = false;
  /** Since when the address is wanted on, or off. */
  let turnedAt = parts.now();
  let deadline: NodeJS.Timeout | undefined;
  let poll: NodeJS.Timeout | undefined;

  const worker = createWorker(async () => {
    await level();
    if (choresDue) {
      choresDue = false;
      await chores();
    }
  });
  const tick = setInterval(() => {
    choresDue = true;
    worker.kick();
  }, limits.tickMs);
  parts.watch?.onChange(worker.kick);
  parts.keepalived?.onState(worker.kick);
  parts.keepalived?.onChange(() => {
    // A keepalived that came back has zeroed its files, one that went away cannot be granted to: look at once.
    choresDue = true;
    rewriteDue = true;
    worker.kick();
  });
  worker.kick();

  function goal(): (VipWant & { readonly on: true }) | null {
    if (want === null || !want.on || want.epoch <= barredEpoch) return null;
    return parts.now() < want.enforceAt - limits.leadMs ? want : null;
  }

  /** One comparison of world and want. */
  async function level(): Promise<void> {
    if (want === null) return;
    const on = goal();
    if (on === null) return off();
    // The address of a lease that was handed on is there already: what guards it must be proven before it is renewed.
    if (state.k === 'unknown') await proof.refresh();
    if (state.k !== 'held' || state.claim.epoch !== on.epoch) return grant(on);
    if (on.enforceAt > state.claim.enforceAt || rewriteDue) await carry(state, { ...state.claim, enforceAt: on.enforceAt }, false, {});
    if (state.k === 'held') await settle(state);
    if (state.k === 'held') wakeBefore(state.claim.enforceAt);
  }

  async function grant(on: VipWant & { readonly on: true }): Promise<void> {
    const phases: Phases = {};
    const claim = { epoch: on.epoch, enforceAt: on.enforceAt, enforcer: proof.kind() };
    // A lifetime counts whole seconds: too little is left for one, and the next renewal brings more.
    if (claim.enforcer === 'valid_lft' && on.enforceAt - parts.now() < LIFETIME_LEFT_MS) return state.k === 'held' ? takeDown() : undefined;
    endedEpoch = null;
    parts.wire?.(false);
    // Entered before the first write, so that whatever happens meanwhile ends in a revocation.
    state = { k: 'held', claim, phases, armedAt: parts.now(), confirmed: false, missingSince: null, restoredAt: 0, aloneSince: null };
    await carry(state, claim, parts.watch?.present() === false, phases);
    if (state.k === 'held') await settle(state);
    if (state.k === 'held') wakeBefore(state.claim.enforceAt);
  }

  async function carry(held: Held, claim: Claim, place: boolean, phases: Phases): Promise<void> {
    rewriteDue = false;
    openUntil = claim.enforceAt;
    const progress = await hold(parts, { ...claim, place }, () => goal()?.epoch === claim.epoch, phases);
    if (progress.k === 'failed') return giveUp(claim.epoch, progress.why);
    if (progress.k === 'done') state = { ...held, claim };
    else worker.kick();
  }

  /** Reports a grant once the address is seen; puts a lost one back, or gives up. */
  async function settle(held: Held): Promise<void> {
    const now = parts.now();
    const present = parts.watch === null ? true : parts.watch.present();
    if (present === true) {
      if (!held.confirmed) {
        // keepalived put it on without a lifetime.
        const limited = await limit(parts, held.claim);
        if (!limited.ok) return giveUp(held.claim.epoch, limited.why);
        proof.succeeded();
        parts.sink({
          k: 'granted',
          epoch: held.claim.epoch,
          phasesMs: { ...held.phases, address: Math.round((now - held.armedAt) * 100) / 100 },
        });
      }
      const aloneSince = parts.keepalived !== null && !stands(parts.keepalived.view()) ? (held.aloneSince ?? now) : null;
      if (aloneSince !== null && now - aloneSince > limits.aloneMs)
        return giveUp(held.claim.epoch, 'keepalived does not stand behind the address');
      state = { ...held, confirmed: true, missingSince: null, aloneSince };
      return;
    }
    const since = held.confirmed ? (held.missingSince ?? now) : held.armedAt;
    if (now - since > limits.grantMs)
      return giveUp(held.claim.epoch, held.confirmed ? 'the address is gone and does not come back' : 'the address did not appear');
    state = { ...held, missingSince: held.confirmed ? since : null };
    const everyMs = mayPlace(parts, held.claim) ? PLACE_EVERY_MS : RESTORE_EVERY_MS;
    if (held.confirmed && present === false && now - held.restoredAt > everyMs)
      await restore({ ...held, missingSince: since, restoredAt: now });
    clearTimeout(poll);
    if (!closed) poll = setTimeout(worker.kick, ARMING_POLL_MS);
  }

  /**
   * Somebody else removed the address, or keepalived went or came. keepalived adds it only on entering MASTER: where it may not be put on
   * directly, keepalived is sent through FAULT once.
   */
  async function restore(held: Held): Promise<void> {
    state = held;
    parts.log('warn', 'vip.restore', 'the address was removed from the interface by somebody else: putting it back');
    if (parts.files !== null && !mayPlace(parts, held.claim)) {
      parts.files.lease(false);
      await parts.keepalived?.untilFault(50);
    }
    await carry(held, held.claim, true, {});
  }

  async function giveUp(epoch: number, why: string): Promise<void> {
    parts.log('error', 'vip.failed', `epoch ${epoch}: ${why}; the address goes down and this epoch is not taken up again`);
    barredEpoch = Math.max(barredEpoch, epoch);
    proof.lost(why);
    await off();
  }

  async function off(): Promise<void> {
    if (state.k !== 'off' || state.problem !== '') await takeDown();
    if (state.k !== 'off' || state.problem !== '') return;
    // While the core still wants the address (a lapse, a barred epoch), its end is nobody's business yet.
    if (want === null || want.on || endedEpoch === want.epoch) return;
    endedEpoch = want.epoch;
    parts.sink({ k: 'ended', epoch: want.epoch, phasesMs: state.phases });
  }

  async function takeDown(): Promise<void> {
    const phases: Phases = {};
    const stuck = state.k === 'off' ? state.problem : '';
    clearTimeout(deadline);
    clearTimeout(poll);
    endedEpoch = null;
    const outcome = await revoke(parts, openUntil, phases);
    openUntil = 0;
    const problem = outcome.ok ? '' : outcome.why;
    state = { k: 'off', problem, phases };
    parts.wire?.(true);
    if (problem === '') return;
    if (problem !== stuck) parts.log('error', 'vip.stuck', `the address could not be confirmed off, the lease is not released: ${problem}`);
    if (!closed) poll = setTimeout(worker.kick, STUCK_RETRY_MS);
  }

  /** A lapse must not wait for a turn of the loop: the resets have to leave before the fence closes. */
  function wakeBefore(enforceAt: number): void {
    clearTimeout(deadline);
    if (!closed) deadline = setTimeout(worker.kick, Math.max(0, Math.ceil(enforceAt - limits.leadMs - parts.now())));
  }

  /** Each second: say where the address is, check the fence while held, prove it while not. */
  async function chores(): Promise<void> {
    const present = (state.k === 'held' ? parts.watch?.present() : parts.watch?.any()) ?? null;
    if (parts.watch !== null) parts.sink({ k: 'address', present });
    if (state.k === 'held') {
      const broken = await proof.recheck();
      if (broken !== null && state.k === 'held') await giveUp(state.claim.epoch, broken);
      return;
    }
    if (state.k === 'off' && state.problem === '' && present === true) {
      parts.log('warn', 'vip.stray', 'the address is on this node without a lease: taking it off');
      await takeDown();
    }
    await proof.refresh();
  }

  function differs(): string {
    if (parts.keepalived === null || want === null) return '';
    return disagreement(parts.keepalived.view(), { on: goal() !== null, since: turnedAt }, parts.now());
  }

  return {
    apply(next) {
      if (want !== null && sameWant(want, next)) return;
      if (want?.on !== next.on) turnedAt = parts.now();
      want = next;
      // The worker may see only the last of several wants; what was said of an earlier "off" does not hold for a later one.
      if (next.on) endedEpoch = null;
      worker.kick();
    },
    /** Stops the work and leaves the address as it is: a planned end wants it off first, a restart within validity keeps it. */
    async close() {
      closed = true;
      clearInterval(tick);
      clearTimeout(deadline);
      clearTimeout(poll);
      await worker.stop();
    },
    view() {
      const held = state.k === 'held' ? state : null;
      const name =
        state.k === 'off' ? (state.problem === '' ? 'off' : 'stuck') : held === null ? 'unknown' : held.confirmed ? 'held' : 'arming';
      return {
        state: name,
        fence: proof.kind(),
        enforceAt: held?.claim.enforceAt ?? 0,
        problem: state.k === 'off' && state.problem !== '' ? state.problem : proof.problem(),
        keepalived: parts.keepalived?.view() ?? null,
        differs: differs(),
      };
    },
  };
}

/** What keepalived last told does not speak against the address; an agent that has just started was told nothing yet. */
function stands(view: Vrrp): boolean {
  return view.alive && (view.state === 'MASTER' || view.state === '');
}

function sameWant(a: VipWant, b: VipWant): boolean {
  if (a.on !== b.on || a.epoch !== b.epoch) return false;
  return !(a.on && b.on) || a.enforceAt === b.enforceAt;
}
