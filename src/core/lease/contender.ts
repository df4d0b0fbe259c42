// The contender's side: watch every server, and claim when a majority has been silent long enough.
//
// There is one place where a claim can start, `claimIfDue`; promises, vetoes, back-off and rank delay are checked there and nowhere else,
// whatever path led to it. A claim counts only acknowledgements of its own round, and is sent only while a majority is ripe (no disruption
// by a node that sees the world late). A failed claim is taken back everywhere, because any of its commands may still run later.
import type { NodeId, Now } from '../types.ts';
import { nodeOf } from '../types.ts';
import { becomeActive } from './holder.ts';
import { ripeAt, stepDownOf } from './observe.ts';
import { mayReplace, metaText, rosterOf } from './roster.ts';
import { bits, type Claiming, type Draft, learnEpoch, readAll, takeNonce, takeOps } from './state.ts';
import { between, majorityOf, nextRandom } from './timing.ts';
import type { ScriptCode } from './types.ts';
import { isWeaker } from './wrap.ts';

/** One turn of a follower: poll, and claim when due. Returns when to look again. */
export function stepFollower(d: Draft, now: Now): number {
  if (now.mono >= d.nextPollAt) readAll(d, now.mono);
  const due = claimIfDue(d, now);
  return Math.min(d.nextPollAt, due);
}

/** Monotonic ms from which a majority of the reachable servers is ripe; Infinity = not foreseeable. */
function majorityRipeAt(d: Pick<Draft, 'servers' | 'failing' | 'self' | 'steppedDown' | 'config'>): number {
  const times: number[] = [];
  for (let i = 0; i < d.config.servers; i++) {
    const seen = d.servers[i];
    // A server that does not answer cannot acknowledge: its old record must not count as ripe.
    if (seen == null || (d.failing & (1 << i)) !== 0 || !mayReplace(seen, d.self.node)) continue;
    times.push(ripeAt(seen, d.self.node, d.steppedDown, d.config));
  }
  times.sort((a, b) => a - b);
  return times[majorityOf(d.config.servers) - 1] ?? Number.POSITIVE_INFINITY;
}

/** True when a released record, or the former holder's own word, names this node, so that it need not wait for its rank. */
function isHeir(d: Draft): boolean {
  return d.servers.some((seen) => {
    if (seen === null) return false;
    return (seen.snap.rel === '1' && seen.snap.heir === d.self.node) || stepDownOf(seen.snap, d.steppedDown)?.heir === true;
  });
}

/** The single choke point of every claim. Returns the moment it should be asked again, Infinity when only a new fact can help. */
function claimIfDue(d: Draft, now: Now): number {
  const ripe = majorityRipeAt(d);
  if (!rosterOf(d).nodes.includes(d.self.node)) {
    d.reason = 'watching, may not take over: not in the roster of the lease';
    return Number.POSITIVE_INFINITY;
  }
  if (ripe === Number.POSITIVE_INFINITY) {
    d.reason = 'watching: no majority of servers has been observed yet';
    return ripe;
  }
  const due = Math.max(ripe + (isHeir(d) ? 0 : d.ctx.rank * d.config.rankDelayMs), d.backoffUntil, d.promise?.until ?? 0);
  if (d.ctx.veto !== null) {
    d.reason = `watching, may not take over: ${d.ctx.veto}`;
    return Number.POSITIVE_INFINITY;
  }
  if (now.mono < due) {
    d.reason =
      d.promise !== null && now.mono < d.promise.until ? `watching: promised ${d.promise.node} to stay back` : 'watching the holder';
    return due;
  }
  if (d.ctx.stalled) {
    d.reason = 'watching: this process stalled, waiting replies are read first';
    return Number.POSITIVE_INFINITY;
  }
  sendClaim(d, now, due - ripe);
  return d.phase.tag === 'claiming' ? d.phase.sentAt + d.config.claimTimeoutMs : d.nextPollAt;
}

/** Epoch for a new attempt: above everything known; seeded from the wall clock only where a majority shows no history at all. */
function freshEpoch(d: Draft, now: Now, ripe: number): number {
  let vacant = 0;
  for (let i = 0; i < d.config.servers; i++) if ((ripe & (1 << i)) !== 0 && !hasHistory(d.servers[i]?.snap.hi)) vacant++;
  // Rounded up to a multiple of 250, so that the epochs after it map to rising VRRP priorities.
  const seed = vacant >= majorityOf(d.config.servers) ? Math.ceil(now.wall / 250) * 250 : 0;
  return Math.max(d.epochKnown, d.ctx.gossipEpoch, seed) + 1;
}

// A tombstone writes epoch 0: it marks vacancy, not history.
function hasHistory(hi: string | undefined): boolean {
  return hi !== undefined && hi !== '' && hi !== '0';
}

function causeOf(d: Draft, ripe: number): { from: NodeId | ''; cause: Claiming['cause'] } {
  let from: NodeId | '' = '';
  let released = false;
  let first = true;
  for (let i = 0; i < d.config.servers; i++) {
    const snap = (ripe & (1 << i)) !== 0 ? d.servers[i]?.snap : undefined;
    if (snap === undefined) continue;
    if (hasHistory(snap.hi)) first = false;
    if (snap.o !== '') from = nodeOf(snap.o) ?? '';
    if (snap.rel === '1') released = true;
  }
  if (first) return { from: '', cause: 'first' };
  if (d.steppedDown.some((s) => s.node === from)) return { from, cause: 'handover' };
  return { from, cause: released ? 'released' : 'expired' };
}

function sendClaim(d: Draft, now: Now, waitedMs: number): void {
  let ripe = 0;
  for (let i = 0; i < d.config.servers; i++) {
    const seen = d.servers[i];
    if (seen == null || (d.failing & (1 << i)) !== 0 || !mayReplace(seen, d.self.node)) continue;
    if (ripeAt(seen, d.self.node, d.steppedDown, d.config) <= now.mono) ripe |= 1 << i;
  }
  const epoch = freshEpoch(d, now, ripe);
  learnEpoch(d, epoch);
  const lockDelayMs = d.ctx.fence ? 0 : d.config.lockDelayMs;
  const known = rosterOf(d);
  const roster = known.nodes;
  const meta = metaText(d, lockDelayMs, { nodes: roster, version: known.version + 1 });
  const firstOp = takeOps(d);
  for (let i = 0; i < d.config.servers; i++) {
    const seen = d.servers[i];
    if (seen == null || (ripe & (1 << i)) === 0) continue;
    const { run, o, e, n } = seen.snap;
    const call = { script: 'cas', mode: 'claim', run, o, e, n, me: d.me, epoch, nonce: takeNonce(d), meta } as const;
    d.effects.push({ k: 'redis', server: i, op: firstOp + i, call });
  }
  d.phase = {
    tag: 'claiming',
    epoch,
    lockDelayMs,
    meta,
    firstOp,
    sentAt: now.mono,
    skew: { boot: now.boot - now.mono, wall: now.wall - now.mono },
    asked: ripe,
    acks: 0,
    refused: 0,
    trust: d.servers.map(() => null),
    roster,
    waitedMs,
    weaker: isWeaker(d, epoch),
    ...causeOf(d, ripe),
  };
  d.reason = `claiming epoch ${epoch} on ${bits(ripe)} of ${d.config.servers} servers`;
}

/** A reply or failure while a claim is in flight. */
export function claimAnswered(
  d: Draft,
  phase: Claiming,
  server: number,
  op: number,
  code: ScriptCode | 'fail',
  run: string,
  now: Now,
): void {
  const bit = 1 << server;
  // Answers to other ops (polls, an older round) are observations only; a server answers for a round once.
  if (op !== phase.firstOp + server || (phase.asked & bit) === 0 || ((phase.acks | phase.refused) & bit) !== 0) return;
  if (code === 'ok') {
    d.phase = { ...phase, acks: phase.acks | bit, trust: phase.trust.map((t, i) => (i === server ? run : t)) };
  } else {
    d.phase = { ...phase, refused: phase.refused | bit };
  }
  settleClaim(d, now);
}

/** Decides a claim as soon as it is decided: won, lost beyond hope, or out of time. */
export function settleClaim(d: Draft, now: Now): void {
  const phase = d.phase;
  if (phase.tag !== 'claiming') return;
  const majority = majorityOf(d.config.servers);
  const won = bits(phase.acks) >= majority && now.mono < phase.sentAt + d.config.ttlMs;
  const fenceGone = phase.lockDelayMs === 0 && d.config.lockDelayMs > 0 && !d.ctx.fence;
  if (won && !fenceGone && !(d.config.fenceRequired && !d.ctx.fence)) {
    becomeActive(d, phase, now);
    return;
  }
  const hopeless = bits(phase.asked & ~phase.refused) < majority;
  if (hopeless || fenceGone || now.mono >= phase.sentAt + d.config.claimTimeoutMs) failClaim(d, phase, now);
}

/** Takes a claim back everywhere: any of its commands may still run later, and only a RELEASE of exactly this epoch frees that record. */
export function failClaim(d: Draft, phase: Claiming, now: Now): void {
  const firstOp = takeOps(d);
  for (let i = 0; i < d.config.servers; i++) {
    if ((phase.asked & (1 << i)) === 0) continue;
    d.effects.push({
      k: 'redis',
      server: i,
      op: firstOp + i,
      call: { script: 'release', me: d.me, epoch: phase.epoch, nonce: takeNonce(d), heir: '' },
    });
  }
  d.seed = nextRandom(d.seed);
  d.backoffUntil = now.mono + between(d.seed, d.config.backoffMinMs, d.config.backoffMaxMs);
  d.phase = { tag: 'follower' };
  d.effects.push({ k: 'event', event: { k: 'claimFailed', epoch: phase.epoch, acks: bits(phase.acks) } });
  d.reason = `claim of epoch ${phase.epoch} failed with ${bits(phase.acks)} of ${d.config.servers} acknowledgements`;
}
