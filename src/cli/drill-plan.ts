// What a drill would do, and why it must not be done now. Pure.
import type { NodeRow, StatusReply } from '../gen/control.ts';

/** The failures that can be tried, in the order of the help. */
export const drillKinds = ['stop-ollama', 'kill-agent', 'freeze', 'partition', 'redis'] as const;
export type DrillKind = (typeof drillKinds)[number];

/** One line of help each. */
export const drillSummaries: Readonly<Record<DrillKind, string>> = {
  'stop-ollama': 'stop the Ollama of this node',
  'kill-agent': 'kill -9 of the agent of this node',
  freeze: 'freeze the agent of this node (SIGSTOP), and let it go on',
  partition: 'cut this node off the other agents and their Redis servers, and heal it',
  redis: 'freeze the managed Redis server of this node, and let it go on',
};

/** What the plan needs of this node's configuration. */
export type DrillSite = {
  readonly node: string;
  /** The node has an Ollama. */
  readonly ollama: boolean;
  /** It runs a managed Redis server that votes. */
  readonly ownVote: boolean;
  /** Every Redis server is a managed one: a partition cuts it off with its node. */
  readonly managed: boolean;
  readonly holdMs: number;
};

/** Reasons against a drill now; empty = it may run. */
export function refusalsOf(kind: DrillKind, site: DrillSite, status: StatusReply): readonly string[] {
  const out: string[] = [];
  if (kind === 'stop-ollama' && !site.ollama) out.push('this node has no Ollama');
  if (kind === 'redis' && !site.ownVote) out.push('this node runs no managed Redis server that votes');
  if (status.asked !== site.node) out.push(`the agent that answers is ${status.asked}, not ${site.node}`);
  if (status.holder === '') out.push('no node is active');
  if (status.splitBrain) out.push('two machines answer for the address');
  if (status.mode !== 'normal') out.push(`the cluster is not in its normal mode but: ${status.mode}${byWhom(status)}`);
  if (status.planned !== undefined) out.push('a switchover is planned');
  for (const row of status.nodes) if (row.tags.includes('draining')) out.push(`${row.node} is in maintenance, or draining`);
  if (status.holder !== '' && healthyElsewhere(site.node, status).length === 0)
    out.push(status.holder === site.node ? 'there is no healthy heir' : `the active node, ${status.holder}, is not healthy itself`);
  const lost = votesAtRisk(kind, site);
  const left = status.redis.filter((row) => row.up && !lost(row.server)).length;
  if ((kind === 'redis' || kind === 'partition') && left <= status.redis.length / 2)
    out.push(`only ${left} of ${status.redis.length} Redis servers would be left, which is no majority`);
  return out;
}

function byWhom({ pausedBy, mode }: StatusReply): string {
  return mode === 'paused' && pausedBy !== '' ? ` (by ${pausedBy})` : '';
}

/** Servers that the others lose by it. */
function votesAtRisk(kind: DrillKind, { node, managed, ownVote }: DrillSite): (server: string) => boolean {
  const own = ownVote && (kind === 'redis' || (kind === 'partition' && managed));
  return (server) => own && server === node;
}

/** The nodes beside this one that carry the role, or could. With this node as holder: its heirs; else the holder alone. */
export function healthyElsewhere(node: string, status: StatusReply): readonly NodeRow[] {
  return status.nodes.filter(
    (row) =>
      row.node !== node &&
      row.state === 'alive' &&
      row.vetoes.length === 0 &&
      (status.holder === node ? row.role === 'standby' : row.node === status.holder),
  );
}

/** Whether the role has to move: a drill on the active node moves it, unless it takes one vote only. */
export function mustMove(kind: DrillKind, node: string, status: StatusReply): boolean {
  return kind !== 'redis' && status.holder === node;
}

/** What it would do, in one sentence. */
export function sentenceOf(kind: DrillKind, site: DrillSite, status: StatusReply): string {
  const seconds = Math.round(site.holdMs / 1000);
  const acts: Readonly<Record<DrillKind, string>> = {
    'stop-ollama': `stop Ollama on ${site.node} for at most ${seconds} s`,
    'kill-agent': `kill the agent of ${site.node} with SIGKILL; its service manager starts it again`,
    freeze: `freeze the agent of ${site.node} for at most ${seconds} s`,
    partition: `drop what ${site.node} exchanges with the other nodes on the ports of agents and Redis, for at most ${seconds} s`,
    redis: `freeze the managed Redis server of ${site.node} for ${seconds} s`,
  };
  const heir = healthyElsewhere(site.node, status)[0]?.node ?? '';
  const then = mustMove(kind, site.node, status)
    ? `the active role, and with it the address, moves to another node, most likely ${heir}; open requests break`
    : `${status.holder} stays active`;
  return `drill ${kind} would ${acts[kind]}: ${then}`;
}
