// A balancer host of its own: an agent with only `nginx:`, real nginx with the example site, and beside it a real HAProxy with the example file that
// asks each agent's /leader; clients at work through a failover.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { waitHealthy, waitStatus } from '../lab/cluster.ts';
import { must } from '../lab/command.ts';
import type { Lab } from '../lab/lab.ts';
import { clientAddress, clientName, dataRoot, projectRoot } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';

const main = join(projectRoot, 'src/main.ts');
let lab: Lab;
let dir: string;
let config: string;

beforeAll(async () => {
  lab = await createProductLab({ id: 'bal', nodes: 3, preset: 'fast', config: { http: { listen: '0.0.0.0:11443' } } });
  await waitHealthy(lab);
  dir = join(dataRoot, lab.id, clientName, 'balancer');
  mkdirSync(join(dir, 'pki'), { recursive: true });
  config = join(dir, 'agent.yaml');
  await must([
    process.execPath,
    main,
    'agentctl',
    'pki',
    'issue',
    '--dir',
    join(dataRoot, lab.id, 'pki'),
    '--node',
    'edge',
    '--out',
    join(dir, 'pki'),
  ]);
  writeNginx();
  writeAgent();
  lab.client.daemon('nginx', ['nginx', '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf'), '-g', 'daemon off;']);
  writeHaproxy();
  lab.client.daemon('haproxy', ['haproxy', '-db', '-f', join(dir, 'haproxy.cfg')]);
  lab.client.daemon('edge', [process.execPath, main, 'agent', '--config', config]);
  await waitFile('the active node first', (text) => /\.1:11434[^;]*; # gpu1/.test(text) && text.split(' backup;').length === 3);
}, 100_000);
afterAll(() => lab?.destroy());

const upstream = (): string => readFileSync(join(dir, 'upstream.conf'), 'utf8');

async function waitFile(what: string, wanted: (text: string) => boolean, timeoutMs = 20_000): Promise<number> {
  const start = performance.now();
  while (!wanted(upstream())) {
    if (performance.now() - start > timeoutMs) throw new Error(`${what}: not within ${timeoutMs} ms:\n${upstream()}`);
    await delay(20);
  }
  return performance.now() - start;
}

/** Texts of what the balancer's agent logged at each reload. */
function reloads(): readonly string[] {
  const log = readFileSync(join(dataRoot, lab.id, clientName, 'edge.log'), 'utf8');
  return [...log.matchAll(/"nginx_reloaded"[^\n]*?(\d+ servers)/g)].map((match) => match[1] ?? '');
}

function writeNginx(): void {
  const site = readFileSync(join(projectRoot, 'deploy/nginx/ollama-ha.conf'), 'utf8').replace('/etc/nginx/ollama-ha', dir);
  writeFileSync(join(dir, 'site.conf'), site);
  writeFileSync(join(dir, 'upstream.conf'), 'upstream ollama_ha {\n    server 127.0.0.1:9;\n}\n');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
  writeFileSync(
    join(dir, 'nginx.conf'),
    `user root; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log; events {}\nhttp { access_log off; ${temp} include ${dir}/site.conf; }\n`,
  );
}

/** The example itself, on another port than nginx, and with a header that says who answered. */
function writeHaproxy(): void {
  const example = readFileSync(join(projectRoot, 'deploy/haproxy/ollama-ha.cfg'), 'utf8');
  writeFileSync(join(dir, 'haproxy.cfg'), example.replace('bind :11434', 'bind :11480\n    http-response set-header x-served-by %s'));
}

function writeAgent(): void {
  const first = lab.host('gpu1');
  const places = lab.hosts.map(({ name, address }) => ({ id: name, address }));
  const pki = (file: string): string => join(dir, 'pki', file);
  writeFileSync(
    config,
    stringify({
      node: { id: 'edge', address: clientAddress },
      cluster: { name: 'lab', nodes: places, secretFile: join(first.plan.dataDir, 'etc/secret') },
      pki: { ca: pki('ca.crt'), cert: pki('node.crt'), key: pki('node.key') },
      lease: { preset: 'fast' },
      nginx: { file: join(dir, 'upstream.conf'), config: join(dir, 'nginx.conf') },
      paths: { state: join(dir, 'state'), run: join(dir, 'run') },
    }),
  );
}

/** One request through HAProxy. */
async function served(): Promise<{ status: number; node: string }> {
  const form = '%{http_code} %header{x-served-by}';
  const out = await lab.client.exec(['curl', '-s', '-m', '5', '-o', '/dev/null', '-w', form, 'http://127.0.0.1:11480/api/version']);
  const [status = '', node = ''] = out.stdout.split(' ');
  return { status: Number(status), node };
}

function holderOf(): string {
  return /server [^\n]*fail_timeout=2s; # (\S+)/.exec(upstream())?.[1] ?? '';
}

/** `threads` clients with `each` requests one after the other, on the balancer's host. */
const load = `
const [threads, each, url] = process.argv.slice(1);
let errors = 0, done = 0;
const why = {};
const one = async () => {
  for (let i = 0; i < Number(each); i++) {
    const reply = await fetch(url, { signal: AbortSignal.timeout(10000) }).catch((error) => ({ status: error.name }));
    if (reply.status === 200) await reply.text();
    else {
      errors++;
      why[reply.status] = (why[reply.status] ?? 0) + 1;
    }
    done++;
    await new Promise((r) => setTimeout(r, 50));
  }
};
await Promise.all(Array.from({ length: Number(threads) }, one));
console.log(JSON.stringify({ done, errors, why }));
`;

test('10 threads with 100 requests each go on through the death of the active host', async () => {
  const active = lab.host(holderOf());
  const through = (port: number) =>
    lab.client.exec([process.execPath, '--input-type=module', '-e', load, '10', '100', `http://127.0.0.1:${port}/api/version`], {
      timeoutMs: 60_000,
    });
  const [running, haproxy] = [through(11434), through(11480)];
  await delay(1500);
  await lab.killHost(active);
  const leftMs = await waitFile('another node first', () => holderOf() !== active.name && holderOf() !== '');
  const { done, errors } = JSON.parse((await running).stdout) as { done: number; errors: number };
  process.stdout.write(
    `failover under load: ${done} requests, ${errors} errors; the dead node left the upstream after ${Math.round(leftMs)} ms\n`,
  );
  const beside = JSON.parse((await haproxy).stdout) as { done: number; errors: number; why: object };
  process.stdout.write(`the same through HAProxy: ${beside.done} requests, ${beside.errors} errors ${JSON.stringify(beside.why)}\n`);
  expect([done, beside.done]).toEqual([1000, 1000]);
  expect(errors).toBeLessThanOrEqual(10);
  // What had reached the host when it died is lost, one for each client at most.
  expect(beside.errors).toBeLessThanOrEqual(10);
  expect(upstream()).not.toContain(`# ${active.name}\n`);
  await lab.reviveHost(active);
  await waitFile('the revived node', (text) => text.includes(`# ${active.name}\n`), 30_000);
}, 90_000);

test('HAProxy sends every request to the node whose /leader says yes, and follows a switchover', async () => {
  const before = await served();
  expect(before).toEqual({ status: 200, node: (await waitStatus(lab.host('gpu2'), 'a holder', (s) => s.holder !== '')).holder });
  expect((await lab.host(before.node).agentctl(['switchover'])).code).toBe(0);
  const { holder } = await waitStatus(lab.host('gpu2'), 'another holder', (s) => s.holder !== before.node && s.holder !== '');
  await expect.poll(served, { timeout: 5000, interval: 50 }).toEqual({ status: 200, node: holder });
  const stream = await lab.client.exec([
    'curl',
    '-sN',
    '-m',
    '10',
    '-d',
    '{"model":"none","prompt":"x"}',
    'http://127.0.0.1:11480/api/generate',
  ]);
  // Ollama's own answer, not one of HAProxy.
  expect(stream.stdout).toContain("model 'none");
}, 30_000);

test('a draining node leaves the upstream at once', async () => {
  const name = holderOf();
  const host = lab.host(name);
  const from = reloads().length;
  const draining = host.agentctl(['maintenance', 'on', name]);
  await waitFile('the drained node gone', (text) => !text.includes(`# ${name}\n`), 5000);
  expect((await draining).code).toBe(0);
  await host.agentctl(['undrain', name]);
  await waitFile('the node back', (text) => text.includes(`# ${name}\n`), 10_000);
  // The file stands in its place before nginx has taken it; the next test begins when it has.
  await expect.poll(() => /2 servers.*3 servers$/.test(reloads().slice(from).join(' ')), { timeout: 10_000, interval: 50 }).toBe(true);
}, 40_000);

test('what nginx refuses is taken back, and status says why', async () => {
  const before = upstream();
  const good = readFileSync(join(dir, 'site.conf'), 'utf8');
  writeFileSync(join(dir, 'site.conf'), good.replace('proxy_buffering off;', 'proxy_buffering perhaps;'));
  const name = holderOf();
  const host = lab.host(name);
  await host.agentctl(['maintenance', 'on', name]);
  const ctl = ['--config', config, 'status', '--json'];
  const told = async (): Promise<string> => (await lab.client.exec([process.execPath, main, 'agentctl', ...ctl])).stdout;
  let said = '';
  for (let i = 0; i < 40 && !said.includes('nginx -t refuses'); i++) {
    said = await told();
    await delay(100);
  }
  expect(said).toContain('nginx: nginx -t refuses the new upstream file, the last one is kept');
  // nginx can only be asked with the new file in its place, at each try: in between the last good one stands there.
  await expect.poll(upstream, { timeout: 5000, interval: 10 }).toBe(before);
  writeFileSync(join(dir, 'site.conf'), good);
  await waitFile('the new list', (text) => text !== before, 8000);
  await host.agentctl(['undrain', name]);
}, 40_000);

test('the agent of a balancer never claims and is in no roster', async () => {
  const status = await waitStatus(lab.host('gpu2'), 'edge is seen', (s) =>
    s.nodes.some((row) => row.node === 'edge' && row.role === 'witness'),
  );
  expect(status.holder).not.toBe('edge');
  const out = await lab.host('gpu2').agentctl(['status', '--json']);
  expect((out.json as { roster: string[] }).roster).toEqual(['gpu1', 'gpu2', 'gpu3']);
});
