// Three real agents on loopback, scraped by a real Prometheus: endpoints, metrics, rules, and every query of the dashboard.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { logEvents } from '../../src/log-events.ts';
import { linesOf, type ScaleCluster, startAgents } from '../bench/scale/agents.ts';
import { type Receiver, startReceiver } from '../drivers/webhook/kit.ts';

const token = 'a-token-for-this-test-only';
const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-prometheus-'));
let cluster: ScaleCluster;
let prometheus: ChildProcess;
let receiver: Receiver;
let api = '';

type Body = Readonly<Record<string, unknown>>;

async function ask(agent: number, path: string, init: RequestInit = {}): Promise<{ status: number; body: Body }> {
  const response = await fetch(`http://${cluster.agents[agent]?.address}:11443${path}`, init);
  return { status: response.status, body: (await response.json()) as Body };
}

async function eventually<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  const end = performance.now() + 40_000;
  for (;;) {
    const found = await look().catch(() => null);
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function query(expr: string): Promise<readonly { readonly metric: Body; readonly value: readonly [number, string] }[]> {
  const response = await fetch(`${api}/api/v1/query?query=${encodeURIComponent(expr)}`);
  const answer = (await response.json()) as { status: string; error?: string; data?: { result: [] } };
  if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
  return answer.data?.result ?? [];
}

const leaderAmong = (agents: readonly number[]) => async () => {
  const answers = await Promise.all(agents.map((agent) => ask(agent, '/leader')));
  const at = answers.findIndex((answer) => answer.status === 200);
  return at < 0 ? null : (agents[at] ?? null);
};

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

beforeAll(async () => {
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, token, { mode: 0o600 });
  process.env.OLLAMA_HA_HTTP__TOKENFILE = tokenFile;
  receiver = await startReceiver();
  const alerts = { channels: [{ name: 'hook', kind: 'json', url: receiver.url }] };
  cluster = await startAgents({ count: 3, candidates: 2, config: { alerts } });
  delete process.env.OLLAMA_HA_HTTP__TOKENFILE;
  const targets = cluster.agents.map((agent) => `${agent.address}:11443`);
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(root, 'deploy/prometheus/ollama-ha.rules.yml')],
    scrape_configs: [{ job_name: 'ollama-ha', static_configs: [{ targets }] }],
  };
  writeFileSync(join(dir, 'prometheus.yml'), stringify(config));
  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  const args = [
    `--config.file=${join(dir, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(dir, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  prometheus = spawn('prometheus', args, { stdio: 'ignore' });
}, 90_000);

afterAll(async () => {
  const gone = new Promise((resolve) => prometheus?.once('exit', resolve));
  if (prometheus?.kill('SIGKILL') === true) await gone;
  await cluster?.end();
  await receiver?.close();
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

test('exactly one agent says that it is the leader, the other candidate that it is a standby, the witness neither', async () => {
  const leader = await eventually('a leader', leaderAmong([0, 1, 2]));
  const other = leader === 0 ? 1 : 0;
  await eventually('a standby', async () => ((await ask(other, '/standby')).status === 200 ? true : null));
  expect((await ask(other, '/leader')).status).toBe(503);
  expect(await ask(leader, '/standby')).toMatchObject({ status: 503, body: { why: 'this node is active' } });
  expect((await ask(2, '/leader')).status).toBe(503);
  expect(await ask(2, '/standby')).toMatchObject({ status: 503, body: { why: 'this node is a witness' } });
}, 60_000);

test('health, liveness and readiness answer for the asked node', async () => {
  expect(await ask(0, '/health')).toMatchObject({ status: 200, body: { healthy: true, ollama: 'up', cluster: 'scale', node: 'n000' } });
  expect(await ask(2, '/health')).toMatchObject({ status: 503, body: { why: 'no Ollama on this node' } });
  expect(await ask(0, '/healthz')).toMatchObject({ status: 200, body: { live: true } });
  expect(await ask(0, '/readyz')).toMatchObject({ status: 200, body: { ready: true, missing: [] } });
  expect(await ask(0, '/readyz?models=a,b:7b')).toMatchObject({ status: 503, body: { missing: ['a', 'b:7b'] } });
}, 30_000);

test('Prometheus scrapes all three, finds every rule sound, and each query of the dashboard finds data', async () => {
  await eventually('three targets', async () => ((await query('up{job="ollama-ha"} == 1')).length === 3 ? true : null));
  await eventually('a holder in the metrics', async () => ((await query('ollama_ha_holder')).length === 3 ? true : null));
  // Rates need two scrapes.
  await eventually('a rate', async () => ((await query('rate(ollama_ha_ollama_probes_total[5m]) > 0')).length > 0 ? true : null));
  const rules = (await (await fetch(`${api}/api/v1/rules`)).json()) as {
    data: { groups: { rules: { name: string; health: string }[] }[] };
  };
  const evaluated = rules.data.groups.flatMap((group) => group.rules);
  expect(evaluated.length).toBeGreaterThan(15);
  expect(evaluated.filter((rule) => rule.health === 'err')).toEqual([]);
  const dashboard = JSON.parse(readFileSync(join(root, 'deploy/grafana/ollama-ha.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  // Nothing of the kind exists in this cluster: no address, no graphics card, no channel, nothing that fires.
  const empty = ['Answers for the address', 'Graphics cards: memory in use', 'Alerts that fire', 'Main loop: lateness'];
  for (const panel of dashboard.panels) {
    for (const { expr } of panel.targets) {
      const found = async () => await query(expr.replaceAll('$cluster', 'scale'));
      if (empty.includes(panel.title)) await found();
      else await eventually(`${panel.title}: ${expr}`, async () => ((await found()).length > 0 ? true : null));
    }
  }
}, 60_000);

test('the status comes as an event at once, and only once while nothing changes', async () => {
  const over = new AbortController();
  const response = await fetch(`http://${cluster.agents[0]?.address}:11443/events`, { signal: over.signal });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  let text = '';
  for await (const part of response.body ?? []) {
    text += Buffer.from(part).toString('utf8');
    if (text.includes('\n\n', text.indexOf('data: '))) break;
  }
  over.abort();
  const line = text.split('\n').find((one) => one.startsWith('data: ')) ?? '';
  expect(JSON.parse(line.slice(6))).toMatchObject({ cluster: 'scale', asked: 'n000' });
}, 30_000);

test('a switchover over HTTP needs the token, names its vetoes, and moves the role', async () => {
  const leader = await eventually('a leader', leaderAmong([0, 1]));
  const other = leader === 0 ? 1 : 0;
  const post = (body: unknown, bearer: string) =>
    ask(leader, '/switchover', { method: 'POST', headers: { authorization: `Bearer ${bearer}` }, body: JSON.stringify(body) });
  expect((await post({}, 'wrong-token')).status).toBe(403);
  expect(await post({ to: 'No Node' }, token)).toMatchObject({ status: 400 });
  const refused = await post({ to: 'n002' }, token);
  expect(refused.status).toBe(412);
  expect((refused.body.vetoes as string[]).length).toBeGreaterThan(0);
  expect((await ask(leader, '/switchover', { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })).status).toBe(404);
  await eventually('a heir', async () => ((await ask(other, '/standby')).status === 200 ? true : null));
  expect(await post({ to: `n00${other}` }, token)).toMatchObject({ status: 200, body: { outcome: 'done' } });
  expect(await eventually('the new leader', leaderAmong([other]))).toBe(other);
  await eventually('the move in the metrics', async () =>
    (await query('ollama_ha_failovers_total{cause="planned"} >= 1')).length > 0 ? true : null,
  );
}, 60_000);

test('the move is reported to the channel, once, with its cause', async () => {
  const reports = () => receiver.bodies.filter((body) => body.key.startsWith('scale/failover/'));
  await eventually('a report', async () => (reports().some((body) => body.title.startsWith('Failover: ')) ? true : null));
  expect(new Set(reports().map((body) => body.key)).size).toBe(reports().length);
}, 60_000);

test('every line of the logs has an event id of the catalogue', () => {
  const events = new Set(cluster.agents.flatMap((agent) => linesOf(agent).map((line) => line.event)));
  expect(events.size).toBeGreaterThan(5);
  expect([...events].filter((event) => logEvents[event] === undefined)).toEqual([]);
});
