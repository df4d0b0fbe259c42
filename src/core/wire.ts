// What the other nodes see of the address on the wire. A host gets no answer to its own ARP question, so the holder has to be told.
import { membersOf } from './membership/machine.ts';
import type { CoreState, Draft } from './state.ts';
import type { NodeId, Now } from './types.ts';

/** One watcher's newest sight of the address; `ageMs` is from the answer to now. */
export type WireReport = { readonly node: NodeId; readonly macs: readonly string[]; readonly ageMs: number };

/** Older sights say nothing about now: a watch asks once a second, and two misses are two too many. */
export const WIRE_FRESH_MS = 3000;

/** The sights of living watchers, the newest first. While this node holds the role: only those of its own term. */
export function wireReports(s: CoreState, now: Now): readonly WireReport[] {
  const since = s.lease.phase.tag === 'active' ? (s.claimed?.at ?? now.mono) : Number.NEGATIVE_INFINITY;
  return membersOf(s.membership)
    .flatMap((m): WireReport[] => {
      const view = m.state === 'alive' ? m.frame?.view : undefined;
      if (view === undefined || view.wireMacs.length === 0) return [];
      const ageMs = Math.max(0, Math.round(now.mono - m.heardAt)) + view.wireAgeMs;
      return now.mono - ageMs > since ? [{ node: m.node, macs: view.wireMacs, ageMs }] : [];
    })
    .sort((a, b) => a.ageMs - b.ageMs);
}

/** The node whose interface has this MAC, by what every node says of itself; '' = none of the cluster. */
export function nodeOfMac(s: CoreState, mac: string): NodeId | '' {
  if (mac === s.wire?.own) return s.config.self.node;
  return membersOf(s.membership).find((m) => m.frame?.view.mac === mac)?.node ?? '';
}

/** Notes whether every watcher sees another machine answer for the address that this node holds. */
export function watchStranger(d: Draft, now: Now): void {
  const mac = strangerOf(d, now);
  if (mac === '') d.stranger = null;
  else if (d.stranger?.mac !== mac) d.stranger = { mac, since: now.mono };
}

function strangerOf(d: Draft, now: Now): string {
  const own = d.wire?.own ?? '';
  const phase = d.lease.phase;
  if (own === '' || phase.tag !== 'active' || phase.lapsed || d.granted !== phase.epoch) return '';
  const fresh = wireReports(d, now).filter((report) => report.ageMs < WIRE_FRESH_MS);
  return fresh.every((report) => !report.macs.includes(own)) ? (fresh[0]?.macs[0] ?? '') : '';
}
