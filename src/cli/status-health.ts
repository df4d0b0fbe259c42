// From an agent's answer to the state of the cluster, as an exit code that cron and CI can rely on.
import type { NodeRow, StatusReply } from '../gen/control.ts';

/** The state, its exit code, and why it is not healthy. */
export type ClusterHealth = {
  readonly state: 'healthy' | 'degraded' | 'no-holder' | 'split-brain';
  readonly exitCode: 0 | 1 | 2 | 3;
  readonly reasons: readonly string[];
};

/** An ARP answer older than this says nothing about now: standbys look once a second. */
const wireFreshMs = 3000;

/** Judges a reply: the highest of 3 split brain, 2 no holder, 1 degraded wins; 0 only with a holder, its address seen, and a standby without veto. */
export function healthOf(reply: StatusReply): ClusterHealth {
  const split = splitBrain(reply);
  if (split.length > 0) return { state: 'split-brain', exitCode: 3, reasons: split };
  if (reply.holder === '')
    return { state: 'no-holder', exitCode: 2, reasons: [reply.reason === '' ? 'nobody holds the lease' : reply.reason] };
  const degraded = degradations(reply);
  if (degraded.length > 0) return { state: 'degraded', exitCode: 1, reasons: degraded };
  return { state: 'healthy', exitCode: 0, reasons: [] };
}

/** The row is about a node that is heard of now. */
export function isPresent(row: NodeRow): boolean {
  return row.role !== 'gone' && row.role !== 'unknown' && row.state !== 'dead' && row.state !== 'left';
}

/** The node whose MAC answers for the address right now, or '' when nobody was seen lately. */
export function wireOwner(reply: StatusReply): string {
  const fresh = reply.vipOwnerAgeMs >= 0n && reply.vipOwnerAgeMs <= wireFreshMs;
  return reply.vip !== '' && fresh ? reply.vipOwner : '';
}

function splitBrain(reply: StatusReply): string[] {
  const active = reply.nodes.filter((row) => row.role === 'active' && isPresent(row)).map((row) => row.node);
  const owner = wireOwner(reply);
  return [
    ...(reply.splitBrain ? [`more than one machine answers for ${reply.vip}`] : []),
    ...(active.length > 1 ? [`${active.join(' and ')} both report active`] : []),
    ...(owner !== '' && reply.holder !== '' && owner !== reply.holder
      ? [`${owner} answers for ${reply.vip}, but ${reply.holder} holds the lease`]
      : []),
  ];
}

function degradations(reply: StatusReply): string[] {
  const ready = reply.nodes.filter((row) => row.role === 'standby' && isPresent(row) && row.vetoes.length === 0);
  return [
    ...(ready.length === 0 ? ['no standby can take over'] : []),
    ...(reply.mode !== 'normal' ? [`mode ${reply.mode}`] : []),
    ...(reply.vip !== '' && wireOwner(reply) === '' ? [`nobody was seen answering for ${reply.vip}`] : []),
  ];
}
