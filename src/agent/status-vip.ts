// What status says of the address: who answers for it on the wire, what keepalived says, and whether the lease's timing has room.
import { type Room, roomWarnings } from '../core/room.ts';
import type { CoreState } from '../core/state.ts';
import type { NodeId, Now } from '../core/types.ts';
import { ageMs } from '../core/view.ts';
import type { Vrrp } from '../core/vip/agreement.ts';
import { nodeOfMac, WIRE_FRESH_MS, wireReports } from '../core/wire.ts';
import type { StatusView } from './control.ts';
import type { RedisView } from './ports.ts';

/** keepalived as the address port sees it, and where it differs from the agent; '' = nowhere. */
export type KeepalivedFacts = { readonly vrrp: Vrrp; readonly differs: string };

/** Whose MAC answers for the address: by this node's own watch, or while it holds the address, by the other nodes' watches. */
export function wireOwner(s: CoreState, now: Now): { node: NodeId; mac: string; ageMs: number } {
  if (s.address.present === true && s.leaseDesired.acting) {
    const [seen] = wireReports(s, now);
    // Nobody has looked yet, or nobody can (a single node, IPv6 only): then only the own interface tells.
    if (seen === undefined) return { node: s.config.self.node, mac: s.wire?.own ?? '', ageMs: 0 };
    const mac = seen.macs.find((m) => m === s.wire?.own) ?? seen.macs[0] ?? '';
    return { node: nodeOfMac(s, mac), mac, ageMs: seen.ageMs };
  }
  const mac = s.wire?.macs[0];
  if (s.wire === null || mac === undefined) return { node: '', mac: '', ageMs: -1 };
  return { node: nodeOfMac(s, mac), mac, ageMs: ageMs(s.wire.at, now.mono) };
}

/** MACs that were seen answering side by side lately, by anybody; fewer than two = no split. */
export function splitMacs(s: CoreState, now: Now): readonly string[] {
  if (s.wire !== null && s.wire.macs.length > 1 && now.mono - s.wire.at < WIRE_FRESH_MS) return s.wire.macs;
  return wireReports(s, now).find((report) => report.macs.length > 1 && report.ageMs < WIRE_FRESH_MS)?.macs ?? [];
}

/** Warnings about the address. */
export function addressWarnings(s: CoreState, now: Now, keepalived: KeepalivedFacts | null): string[] {
  const split = splitMacs(s, now);
  const named = split.map((mac) => {
    const node = nodeOfMac(s, mac);
    return node === '' ? `${mac} (no node of the cluster)` : `${mac} (${node})`;
  });
  return [
    ...(split.length > 1 ? [`split brain suspected: ${named.join(' and ')} answer for the address`] : []),
    ...(keepalived !== null && keepalived.differs !== '' ? [`keepalived: ${keepalived.differs}`] : []),
  ];
}

/** keepalived's row. */
export function keepalivedRow(facts: KeepalivedFacts | null, now: Now): StatusView['keepalived'] {
  if (facts === null) return null;
  const { alive, state, priority, at } = facts.vrrp;
  return { state, running: alive, priority, sinceMs: at === 0 ? -1 : Math.max(0, Math.round(now.mono - at)), differs: facts.differs };
}

/** Warnings about latencies that the preset has no room for. */
export function roomOf(s: CoreState, preset: string, redis: readonly RedisView[], loopLateP99Ms: number | null): string[] {
  const { ttlMs, renewMs, servers } = s.config.lease;
  const room: Room = { preset, ttlMs, renewMs, servers, loopLateP99Ms, redisP99Ms: redis.filter((r) => r.up).map((r) => r.p99Ms) };
  return roomWarnings(room);
}
