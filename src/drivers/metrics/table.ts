// Every metric: its name, what it means, its labels, and where its values come from. docs/metrics.md lists the same table (a test compares).
import type { NodeRow } from '../../agent/control.ts';
import type { MetricsFacts } from './facts.ts';

/** One value with its labels. */
export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** One metric. Counters come with their total, which only grows while the process lives. */
export type MetricRow = {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labels: readonly string[];
  readonly read: (facts: MetricsFacts) => readonly Sample[];
};

const only = (value: number | null | undefined, labels: Sample['labels'] = {}): readonly Sample[] =>
  value === null || value === undefined || !Number.isFinite(value) ? [] : [{ labels, value }];
const bit = (holds: boolean): number => (holds ? 1 : 0);
/** ms to s; negative = unknown. */
const seconds = (ms: number | null | undefined): number | null => (ms === null || ms === undefined || ms < 0 ? null : ms / 1000);
const perNode = (f: MetricsFacts, value: (row: NodeRow) => number | null): readonly Sample[] =>
  f.status.nodes.flatMap((row) => only(value(row), { node: row.node }));
const states = (f: MetricsFacts, names: readonly string[], label: string, is: (row: NodeRow) => string): readonly Sample[] =>
  f.status.nodes.flatMap((row) => names.map((name) => ({ labels: { node: row.node, [label]: name }, value: bit(is(row) === name) })));

const ROLES = ['active', 'standby', 'witness', 'gone', 'unknown'];
const STATES = ['alive', 'suspect', 'dead', 'left', 'self'];
const OLLAMA = ['up', 'starting', 'degraded', 'down', 'unknown'];
const MODES = ['normal', 'failsafe', 'paused', 'no-redis', 'degraded'];

/** In the order of the output. */
export const metricTable: readonly MetricRow[] = [
  row('info', 'Version and preset of this agent; always 1.', ['cluster', 'node', 'version', 'preset'], ({ status: s }) =>
    only(1, { cluster: s.cluster, node: s.asked, version: s.version, preset: s.preset }),
  ),
  row('active', '1 while this node is active and its deadline has not passed.', [], (f) => only(bit(f.acting))),
  row('role', '1 for the role that each node has, as this node sees it.', ['node', 'role'], (f) => states(f, ROLES, 'role', (r) => r.role)),
  row('holder', '1 for the node that holds the lease; no sample without a holder.', ['node'], (f) =>
    f.status.holder === '' ? [] : only(1, { node: f.status.holder }),
  ),
  row('has_holder', '1 while some node holds the lease.', [], (f) => only(bit(f.status.holder !== ''))),
  row('epoch', 'Newest epoch this node knows.', [], (f) => only(f.status.epoch)),
  row('lease_age_seconds', 'Time since the lease was renewed.', [], (f) => only(seconds(f.status.leaseAgeMs))),
  row('lease_remaining_seconds', 'Time until the lease ends unless it is renewed.', [], (f) => only(seconds(f.status.leaseLeftMs))),
  row('mode', '1 for the mode the cluster is in.', ['mode'], (f) =>
    MODES.map((mode) => ({ labels: { mode }, value: bit(f.status.mode === mode) })),
  ),
  row('split_brain_suspected', '1 while two machines answer for the address.', [], (f) => only(bit(f.status.splitBrain))),
  row('standbys_ready', 'Standbys that may take over now.', [], (f) =>
    only(
      f.status.nodes.filter(
        (r) => r.node !== f.status.holder && r.role === 'standby' && r.vetoes.length === 0 && (r.state === 'alive' || r.state === 'self'),
      ).length,
    ),
  ),
  row('vip_owner', '1 for the node whose MAC answers for the address; no sample while nobody was seen.', ['node'], (f) =>
    f.status.vipOwner === '' ? [] : only(1, { node: f.status.vipOwner }),
  ),
  row('vip_configured', '1 where a virtual address is configured.', [], (f) => only(bit(f.status.vip !== ''))),
  row('fence_open', '1 for a node that has the kernel fence, 0 for one that has none.', ['node'], (f) =>
    perNode(f, (r) => (f.status.vip === '' || r.assignedRole === 'witness' || r.role === 'gone' ? null : bit(r.fence !== 'none'))),
  ),
  row('member_state', '1 for the state of each member in the gossip.', ['node', 'state'], (f) =>
    states(f, STATES, 'state', (r) => r.state),
  ),
  row('gossip_rtt_seconds', 'Round trip of the gossip to each member.', ['node'], (f) =>
    perNode(f, (r) => (r.state === 'self' ? null : seconds(r.rttMs))),
  ),
  row('member_seen_seconds', 'Time since the last frame of each member.', ['node'], (f) =>
    perNode(f, (r) => (r.state === 'self' ? null : seconds(r.seenMs))),
  ),
  row('member_backoff_seconds', 'How long a node that lost the role too often still stands back.', ['node'], (f) =>
    perNode(f, (r) => seconds(r.backoffMs)),
  ),
  row('vetoes', 'Reasons of each node against taking over.', ['node'], (f) => perNode(f, (r) => r.vetoes.length)),
  row('ollama_state', '1 for the state of the Ollama on each node.', ['node', 'state'], (f) =>
    states({ ...f, status: { ...f.status, nodes: f.status.nodes.filter((r) => r.ollama !== '') } }, OLLAMA, 'state', (r) => r.ollama),
  ),
  row('ollama_response_seconds', 'Answer time of the local Ollama over the newest probes (64 at most).', ['quantile'], ({ tally }) =>
    [0.5, 0.95, 1].flatMap((share) => only(seconds(tally.percentile(share)), { quantile: String(share) })),
  ),
  row('ollama_last_response_seconds', 'Answer time of the newest probe of the local Ollama.', [], ({ tally }) =>
    only(seconds(tally.latest.responseMs)),
  ),
  counter('ollama_probes_total', 'Probes of the local Ollama by result.', ['result'], ({ tally }) =>
    Object.entries(tally.probes).map(([result, value]) => ({ labels: { result }, value })),
  ),
  counter('ollama_canaries_total', 'Requests for one token of a loaded model, by result.', ['result'], ({ tally }) =>
    Object.entries(tally.canaries).map(([result, value]) => ({ labels: { result }, value })),
  ),
  row('ollama_canary_seconds', 'Time of the newest such request that was answered.', [], ({ tally }) =>
    only(seconds(tally.latest.canaryMs)),
  ),
  row('ollama_users', 'Connections of users to the local Ollama.', [], ({ tally }) => only(tally.latest.users)),
  row('ollama_waiting', 'Requests that have no byte of an answer yet.', [], ({ tally }) => only(tally.latest.waiting)),
  counter('ollama_answer_bytes_total', 'Bytes of answers that moved on the connections of users and runners.', [], ({ tally }) =>
    only(tally.latest.answerBytes),
  ),
  counter('ollama_tokens_total', 'Tokens made by the runners of the local Ollama, as TCP tells (about).', [], ({ tally }) =>
    only(tally.latest.tokens),
  ),
  row('ollama_loaded_bytes', 'Memory of each loaded model.', ['model', 'where'], ({ tally }) =>
    tally.latest.loaded
      .slice(0, 64)
      .flatMap(({ name, sizeBytes, vramBytes }) => [
        ...only(vramBytes, { model: name, where: 'gpu' }),
        ...only(Math.max(0, sizeBytes - vramBytes), { model: name, where: 'cpu' }),
      ]),
  ),
  row('models_complete', 'Models that each node has complete.', ['node'], (f) =>
    perNode(
      f,
      candidates((r) => r.modelsComplete),
    ),
  ),
  row('models_wanted', 'Models that each node shall have.', ['node'], (f) =>
    perNode(
      f,
      candidates((r) => r.modelsTotal),
    ),
  ),
  row('hot_models', 'Models of the hot set that each node has loaded.', ['node'], (f) =>
    perNode(
      f,
      candidates((r) => r.hot),
    ),
  ),
  row('hot_models_wanted', 'Models of the hot set that each node shall have loaded.', ['node'], (f) =>
    perNode(
      f,
      candidates((r) => r.hotWanted),
    ),
  ),
  row('replication_behind_bytes', 'Bytes that each node lacks of what the active has.', ['node'], (f) =>
    perNode(
      f,
      candidates((r) => (r.role === 'gone' ? null : r.bytesBehind)),
    ),
  ),
  row('replication_rate_bytes_per_second', 'Rate at which models are copied to this node now.', [], ({ replication: r }) =>
    only(r?.transfers.reduce((sum, one) => sum + one.bytesPerSecond, 0)),
  ),
  row('replication_transfers', 'Models on their way to this node.', [], ({ replication: r }) => only(r?.transfers.length)),
  row('replication_blocked', '1 while copying to this node is blocked.', [], ({ replication: r }) =>
    only(r === null ? null : bit(r.blocked !== '')),
  ),
  row('replication_paused', '1 while copying to this node is paused.', [], ({ replication: r }) => only(r === null ? null : bit(r.paused))),
  row('replication_conflicts', "Models that differ from the active's.", [], ({ replication: r }) => only(r?.conflicts.length)),
  row('quarantine_bytes', 'Disk held by deleted, replaced and corrupt models.', [], ({ replication: r }) =>
    only(r?.quarantine.reduce((sum, one) => sum + one.heldBytes, 0)),
  ),
  row('scrub_corrupt_blobs', 'Blobs that the last reading at rest found corrupt.', [], ({ replication: r }) => only(r?.scrub.corruptBlobs)),
  row('scrub_checked_blobs', 'Blobs read in the current or last pass.', [], ({ replication: r }) => only(r?.scrub.checkedBlobs)),
  row('scrub_last_timestamp_seconds', 'Wall clock at which the last pass ended; no sample before it.', [], ({ replication: r }) =>
    only(r === null || r.scrub.lastDoneAtMs <= 0 ? null : r.scrub.lastDoneAtMs / 1000),
  ),
  row('redis_up', '1 for a lease server that answers.', ['server'], (f) =>
    f.status.redis.map((r) => ({ labels: { server: r.server }, value: bit(r.up) })),
  ),
  row('redis_latency_seconds', 'Latency of each lease server over the newest replies (256 at most).', ['server', 'quantile'], (f) =>
    f.status.redis.flatMap((r) => [
      ...only(seconds(r.latencyP50Ms), { server: r.server, quantile: '0.5' }),
      ...only(seconds(r.latencyP99Ms), { server: r.server, quantile: '0.99' }),
    ]),
  ),
  row('loop_late_seconds', 'Lateness of the main loop, 99th percentile of a minute.', [], (f) => only(seconds(f.status.loopLateP99Ms))),
  row('warnings', 'Warnings that agentctl status shows.', [], (f) => only(f.status.warnings.length)),
  row('alert_firing', '1 for each alert that fires.', ['alert', 'subject', 'severity'], (f) =>
    f.alerts.alerts
      .filter((alert) => alert.state === 'firing')
      .map((alert) => ({ labels: { alert: alert.name, subject: alert.subject, severity: alert.severity }, value: 1 })),
  ),
  row('alert_queue', 'Messages that wait for a channel.', ['channel'], (f) =>
    f.alerts.channels.map((c) => ({ labels: { channel: c.name }, value: c.queued })),
  ),
  counter('alert_messages_total', 'Messages by channel and outcome.', ['channel', 'result'], (f) =>
    f.alerts.channels.flatMap((c) => [
      { labels: { channel: c.name, result: 'delivered' }, value: c.delivered },
      { labels: { channel: c.name, result: 'dropped' }, value: c.dropped },
    ]),
  ),
  row('nginx_problem', '1 while nginx does not run with the newest upstream file.', [], ({ nginx: n }) =>
    only(n === null || n === undefined ? null : bit(n.problem !== '')),
  ),
  row('nginx_servers', 'Servers in the upstream file.', [], ({ nginx: n }) => only(n?.servers)),
  counter('nginx_reloads_total', 'Reloads of nginx with a new upstream file.', [], ({ nginx: n }) => only(n?.reloads)),
  row('host_memory_used_ratio', 'Share of memory in use on this host.', [], ({ memory: m }) =>
    only(m === null ? null : 1 - m.availableBytes / m.totalBytes),
  ),
  row('host_memory_total_bytes', 'Memory of this host.', [], ({ memory: m }) => only(m?.totalBytes)),
  counter('host_network_bytes_total', 'Bytes on each network interface of this host.', ['interface', 'direction'], (f) =>
    f.interfaces.flatMap((one) => [
      { labels: { interface: one.name, direction: 'received' }, value: one.receivedBytes },
      { labels: { interface: one.name, direction: 'sent' }, value: one.sentBytes },
    ]),
  ),
  row('gpu_memory_used_bytes', 'Memory in use on the graphics cards, where they tell.', ['card'], (f) => [
    ...f.cards.map((c) => ({ labels: { card: c.name }, value: c.usedBytes })),
    ...only(f.tally.latest.gpu?.usedBytes, { card: 'all' }),
  ]),
  row('gpu_memory_total_bytes', 'Memory of the graphics cards, where they tell.', ['card'], (f) => [
    ...f.cards.map((c) => ({ labels: { card: c.name }, value: c.totalBytes })),
    ...only(f.tally.latest.gpu?.totalBytes, { card: 'all' }),
  ]),
  row('gpu_busy_ratio', 'Share of time in which a graphics card worked, where it tells.', ['card'], (f) =>
    f.cards.map((c) => ({ labels: { card: c.name }, value: c.busy })),
  ),
  counter('peer_sent_messages_total', 'Messages sent to other agents.', [], (f) => only(f.traffic.messages)),
  counter('peer_sent_bytes_total', 'Bytes sent to other agents, before HTTP/2 and TLS.', [], (f) => only(f.traffic.bytes)),
  row('process_resident_memory_bytes', 'Memory of the agent itself.', [], (f) => only(f.process.residentBytes)),
  counter('process_cpu_seconds_total', 'CPU time of the agent itself.', [], (f) => only(f.process.cpuSeconds)),
  row('process_start_time_seconds', 'Wall clock at which the agent started.', [], (f) => only(f.process.startedAtMs / 1000)),
];

function candidates(value: (r: NodeRow) => number | null): (r: NodeRow) => number | null {
  return (r) => (r.assignedRole === 'witness' || r.role === 'witness' || r.role === 'unknown' ? null : value(r));
}

function row(name: string, help: string, labels: readonly string[], read: MetricRow['read']): MetricRow {
  return { name: `ollama_ha_${name}`, help, type: 'gauge', labels, read };
}

function counter(name: string, help: string, labels: readonly string[], read: MetricRow['read']): MetricRow {
  return { name: `ollama_ha_${name}`, help, type: 'counter', labels, read };
}
