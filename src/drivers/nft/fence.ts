// The kernel fence as the agent drives it: the address is reachable while an element of an nft set lives, and the kernel ends it by itself.

import { SocketAddress } from 'node:net';
import { FENCE_TABLE, type FenceOptions, familiesOf, loadScript, missingFrom } from '../../core/vip/fence-table.ts';
import { type NftAnswer, nftOnce } from './once.ts';
import { openNftSession, type Question } from './session.ts';

/** How a step went; the same shape as the agent's Outcome. */
export type FenceOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The fence of this host. */
export type Fence = {
  open(enforceAt: number): Promise<FenceOutcome>;
  close(): Promise<FenceOutcome>;
  check(): Promise<FenceOutcome>;
  prove(): Promise<FenceOutcome>;
  /** Ends the session; the fence stays as it is and closes in its time. */
  end(): Promise<void>;
};

/** An answer later than this counts as none, ms. */
const LIMIT_MS = 100;
/** A fence that might close later than `enforceAt` by more than this is set anew; below the lease's guard, ms. */
const LATE_MS = 40;
/** A busy machine reads the clock late, which looks the same: so more than once. */
const OPEN_TRIES = 4;

/** Drives the fence through one long-lived nft. `now` is CLOCK_MONOTONIC in ms. */
export function openFence(
  given: FenceOptions & {
    readonly now: () => number;
    readonly program?: string;
    /** What closing does without a table: a fresh one drops (default), or nothing to close is closed. */
    readonly ifMissing?: 'load' | 'ignore';
  },
): Fence {
  const { now } = given;
  const options = { ...given, vips: given.vips.map(canonicalAddress) };
  const program = options.program ?? 'nft';
  const session = openNftSession(program);
  const families = familiesOf(options.vips);

  /** Once more where the session was silent: the second question starts a process of its own. */
  async function ask(question: Omit<Question, 'limitMs'>): Promise<NftAnswer> {
    const answer = await session.ask({ ...question, limitMs: LIMIT_MS });
    if (answer.ok || !('silent' in answer)) return answer;
    return session.ask({ ...question, limitMs: LIMIT_MS });
  }

  async function openOnce(enforceAt: number): Promise<FenceOutcome & { readonly late?: true }> {
    const answer = await ask({ lines: () => openLines(options, Math.floor(enforceAt - now())), listings: options.vips.length });
    if (!answer.ok) return answer;
    const remaining = expiriesMs(answer.text);
    if (remaining.length < options.vips.length) return { ok: false, why: 'nft accepted the element, but does not show it' };
    // nft may have stood still between our reading of the clock and the kernel's: the element itself tells.
    if (now() + Math.max(...remaining) > enforceAt + LATE_MS)
      return { ok: false, why: 'nft was too slow: the fence would close late', late: true };
    return { ok: true };
  }

  async function close(): Promise<FenceOutcome> {
    const answer = await ask({ lines: () => closeLines(options), listings: families.length });
    if (answer.ok) return answer.text.includes('elements') ? { ok: false, why: 'the fence is still open' } : { ok: true };
    if (!answer.missing) return answer;
    return options.ifMissing === 'ignore' ? { ok: true } : load();
  }

  async function load(): Promise<FenceOutcome> {
    const answer = await nftOnce(loadScript(options), 1000, program);
    return answer.ok ? { ok: true } : answer;
  }

  async function check(): Promise<FenceOutcome> {
    const answer = await ask({ lines: () => `list table netdev ${FENCE_TABLE}`, listings: 1 });
    if (!answer.ok) return { ok: false, why: answer.missing ? `the nft table ${FENCE_TABLE} is gone` : answer.why };
    const lacks = missingFrom(answer.text, options);
    return lacks === '' ? { ok: true } : { ok: false, why: `the nft table ${FENCE_TABLE} is not ours: ${lacks}` };
  }

  return {
    async open(enforceAt) {
      for (let tries = 1; ; tries++) {
        const opened = await openOnce(enforceAt);
        if (!('late' in opened)) return opened;
        if (tries < OPEN_TRIES) continue;
        // Better shut than open too long.
        await close();
        return opened;
      }
    },
    close,
    check,
    async prove() {
      const before = await check();
      if (!before.ok) {
        const loaded = await load();
        if (!loaded.ok) return loaded;
        const after = await check();
        if (!after.ok) return after;
      }
      const answer = await ask({ lines: () => probeLines(options), listings: families.length });
      if (!answer.ok) return answer;
      return expiriesMs(answer.text).length === families.length
        ? { ok: true }
        : { ok: false, why: 'nft accepted an element, but does not show it' };
    },
    end: () => session.close(),
  };
}

/** The spelling that nft prints. Throws a TypeError for what is no IP address. */
function canonicalAddress(vip: string): string {
  return new SocketAddress({ address: vip, family: vip.includes(':') ? 'ipv6' : 'ipv4' }).address;
}

/** Lines that open the fence for `ms` and list what is open; null when there is no time left. */
export function openLines(options: FenceOptions, ms: number): string | null {
  if (ms < 1) return null;
  const acts = familiesOf(options.vips).flatMap((f) => [
    // A plain add would leave the timeout of a living element as it was.
    `flush set netdev ${FENCE_TABLE} ${f.liveSet}`,
    `add element netdev ${FENCE_TABLE} ${f.liveSet} { ${f.vips.map((vip) => `${vip} timeout ${ms}ms`).join(', ')} }`,
  ]);
  const reads = familiesOf(options.vips).flatMap((f) => f.vips.map((vip) => `get element netdev ${FENCE_TABLE} ${f.liveSet} { ${vip} }`));
  return [acts.join('; '), ...reads].join('\n');
}

/** Lines that close the fence and list what is open. */
export function closeLines(options: FenceOptions): string {
  const sets = familiesOf(options.vips).map((f) => f.liveSet);
  const flush = sets.map((set) => `flush set netdev ${FENCE_TABLE} ${set}`).join('; ');
  return [flush, ...sets.map((set) => `list set netdev ${FENCE_TABLE} ${set}`)].join('\n');
}

function probeLines(options: FenceOptions): string {
  return familiesOf(options.vips)
    .flatMap((f) => [
      `add element netdev ${FENCE_TABLE} ${f.liveSet} { ${f.probe} timeout 1s }`,
      `get element netdev ${FENCE_TABLE} ${f.liveSet} { ${f.probe} }`,
      `delete element netdev ${FENCE_TABLE} ${f.liveSet} { ${f.probe} }`,
    ])
    .join('\n');
}

const UNIT_MS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Remaining times of the elements in a listing, ms, in their order. */
export function expiriesMs(listing: string): readonly number[] {
  return [...listing.matchAll(/expires ((?:\d+(?:ms|[dhms]))+)/g)].map(([, text]) =>
    [...(text ?? '').matchAll(/(\d+)(ms|[dhms])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ''] ?? 0), 0),
  );
}
