// The text of a scrape: values, labels, what is absent, and what a second scrape changes. And the docs that list it all.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { NodeRow, StatusView } from '../../../src/agent/control.ts';
import { alertRules } from '../../../src/core/alerts/rules.ts';
import type { MetricsFacts } from '../../../src/drivers/metrics/facts.ts';
import { readCards, readInterfaces, readMemory } from '../../../src/drivers/metrics/host.ts';
import { createMetrics, moveMetrics } from '../../../src/drivers/metrics/metrics.ts';
import { metricTable } from '../../../src/drivers/metrics/table.ts';
import { createTally } from '../../../src/drivers/metrics/tally.ts';

const row = (node: string, more: Partial<NodeRow> = {}) =>
  ({
    node,
    role: 'standby',
    assignedRole: 'standby',
    state: 'alive',
    ollama: 'up',
    fence: 'nft',
    vetoes: [],
    rttMs: 0.5,
    seenMs: 90,
    backoffMs: 0,
    ...more,
  }) as NodeRow;

function factsOf(status: Partial<StatusView> = {}, more: Partial<MetricsFacts> = {}): MetricsFacts {
  const nodes = [
    row('gpu1', { role: 'active', assignedRole: 'active', state: 'self' }),
    row('gpu2', { bytesBehind: 7, modelsComplete: 3, modelsTotal: 5 }),
  ];
  const base = {
    cluster: 'lab',
    asked: 'gpu1',
    version: '0.1.0',
    preset: 'standard',
    holder: 'gpu1',
    epoch: 250,
    leaseAgeMs: 300,
    leaseLeftMs: 1700,
  };
  return {
    status: {
      ...base,
      mode: 'normal',
      splitBrain: false,
      vip: '',
      vipOwner: '',
      nodes,
      redis: [],
      warnings: [],
      loopLateP99Ms: -1,
      ...status,
    } as StatusView,
    acting: true,
    replication: null,
    alerts: { asked: 'gpu1', sender: 'gpu1', alerts: [], channels: [] },
    tally: createTally(),
    traffic: { messages: 1, bytes: 2 },
    memory: { totalBytes: 1000, availableBytes: 250 },
    interfaces: [],
    cards: [],
    process: { residentBytes: 1, cpuSeconds: 1, startedAtMs: 5000 },
    ...more,
  };
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('values stand under their labels; what is not known has no line', async () => {
  const found = lines((await createMetrics().scrape(factsOf())).text);
  for (const line of [
    'ollama_ha_active 1',
    'ollama_ha_holder{node="gpu1"} 1',
    'ollama_ha_lease_remaining_seconds 1.7',
    'ollama_ha_role{node="gpu2",role="standby"} 1',
    'ollama_ha_replication_behind_bytes{node="gpu2"} 7',
    'ollama_ha_gossip_rtt_seconds{node="gpu2"} 0.0005',
    'ollama_ha_standbys_ready 1',
    'ollama_ha_host_memory_used_ratio 0.75',
  ])
    expect(found).toContain(line);
  for (const absent of ['vip_owner', 'loop_late_seconds', 'scrub_corrupt_blobs', 'ollama_last_response_seconds', 'fence_open'])
    expect(found.filter((line) => line.startsWith(`ollama_ha_${absent}`))).toEqual([]);
});

test('a later scrape forgets what is gone', async () => {
  const metrics = createMetrics();
  await metrics.scrape(factsOf());
  const found = lines((await metrics.scrape(factsOf({ holder: '' }, { acting: false, memory: null }))).text);
  expect(found.filter((line) => /^ollama_ha_(holder|host_memory_used_ratio)\b/.test(line))).toEqual([]);
  expect(found).toContain('ollama_ha_has_holder 0');
  expect(found).toContain('ollama_ha_active 0');
});

test('failovers are counted by cause with their duration, each once, also those before the first scrape', async () => {
  const metrics = createMetrics();
  const facts = factsOf();
  const entry = { epoch: 1, from: 'a', to: 'b', reason: '', by: '', atMs: 1 };
  facts.tally.history({ ...entry, cause: 'expired', phasesMs: { totalMs: 2100 } });
  facts.tally.history({ ...entry, cause: 'planned', phasesMs: {} });
  await metrics.scrape(facts);
  const found = lines((await metrics.scrape(facts)).text);
  expect(found).toContain('ollama_ha_failovers_total{cause="expired"} 1');
  expect(found).toContain('ollama_ha_failovers_total{cause="planned"} 1');
  expect(found).toContain('ollama_ha_failover_duration_seconds_bucket{le="2.5",cause="expired"} 1');
  expect(found).toContain('ollama_ha_failover_duration_seconds_bucket{le="2",cause="expired"} 0');
});

test('probes are told apart by their result, and their times by percentile', async () => {
  const facts = factsOf();
  for (let i = 1; i <= 10; i++) facts.tally.evidence({ k: 'http', status: 200, ms: 10 * i, version: '' });
  facts.tally.evidence({ k: 'tags', status: 500, ms: 5, names: [] });
  facts.tally.evidence({ k: 'ps', status: 0, ms: 2000, loaded: [] });
  facts.tally.evidence({ k: 'connect', result: 'refused' });
  const found = lines((await createMetrics().scrape(facts)).text);
  for (const line of ['{result="ok"} 10', '{result="error"} 1', '{result="timeout"} 1', '{result="refused"} 1'])
    expect(found).toContain(`ollama_ha_ollama_probes_total${line}`);
  expect(found).toContain('ollama_ha_ollama_response_seconds{quantile="0.5"} 0.05');
  expect(found).toContain('ollama_ha_ollama_response_seconds{quantile="1"} 2');
});

test('the host is read from /proc and /sys, and what is not there is absent', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-host-'));
  const put = (path: string, text: string) => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  put('meminfo', 'MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n');
  put('dev', 'Inter-|   Receive\n face |bytes\n    lo: 5 0 0 0 0 0 0 0 5 0\n  eth0: 700 1 0 0 0 0 0 0 900 2 0 0 0 0 0 0\n');
  put('card0/device/gpu_busy_percent', '45\n');
  put('card0/device/mem_info_vram_used', '10\n');
  put('card0/device/mem_info_vram_total', '40\n');
  put('card1/device/vendor', '0x10de\n');
  expect(await readMemory(join(dir, 'meminfo'))).toEqual({ totalBytes: 1_024_000, availableBytes: 409_600 });
  expect(await readInterfaces(join(dir, 'dev'))).toEqual([{ name: 'eth0', receivedBytes: 700, sentBytes: 900 }]);
  expect(await readCards(dir)).toEqual([{ name: 'card0', busy: 0.45, usedBytes: 10, totalBytes: 40 }]);
  expect(await readMemory(join(dir, 'none'))).toBe(null);
  expect(await readInterfaces(join(dir, 'none'))).toEqual([]);
  expect(await readCards(join(dir, 'none'))).toEqual([]);
  rmSync(dir, { recursive: true });
});

test('docs/metrics.md lists every metric and docs/alerts.md every alert, and no other', () => {
  const page = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
  const listed = [...page('metrics.md').matchAll(/^\| `(ollama_ha_\w+)` \| (\w+) \| .* \| (.*) \|$/gm)].map(
    ([, name, type, help]) => `${name} ${type} ${help}`,
  );
  const known = [
    ...metricTable.map((one) => `${one.name} ${one.type} ${one.help}`),
    `${moveMetrics.total.name} counter ${moveMetrics.total.help}`,
    `${moveMetrics.duration.name} histogram ${moveMetrics.duration.help}`,
  ];
  expect(listed).toEqual(known);
  const alerts = [...page('alerts.md').matchAll(/^\| `(\w+)` \| (info|warning|critical) \|/gm)].map(
    ([, name, severity]) => `${name} ${severity}`,
  );
  expect(alerts).toEqual(alertRules.map((rule) => `${rule.name} ${rule.severity}`));
});
