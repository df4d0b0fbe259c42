// The scheduler and its traps, as verified on the real server.
import { existsSync, mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { isOpen, type Scene, scene, until } from './scene.ts';
import { startFakeOllama } from './server.ts';

const say = (model: string, more = {}) => ({ model, prompt: 'x', ...more });

/** Starts a stream that does not end; `stop` lets the client leave. */
async function stream(it: Scene, model: string): Promise<() => void> {
  const gone = new AbortController();
  const runner = () => it.fake.runners().find((each) => each.name.startsWith(model));
  const before = runner()?.refs ?? 0;
  void it.post('/api/generate', say(model), gone.signal).catch(() => null);
  await until(() => (runner()?.refs ?? 0) > before);
  return () => gone.abort();
}

it('keeps listing a runner that died while idle; the next request reloads it', async () => {
  await using it = await scene();
  it.model('m');
  const pid = await it.load('m');
  await it.order('/signal', { model: 'm', signal: 'SIGKILL' });
  await until(() => !existsSync(`/proc/${pid}/fd/0`));
  expect((await it.ps()).map((row) => row.name)).toEqual(['m:latest']);
  expect((await it.post('/api/generate', say('m'))).lines.at(-1)?.done).toBe(true);
  expect(it.fake.runners()[0]?.pid).not.toBe(pid);
});

it('lets a frozen idle runner go at once when it is unloaded', async () => {
  await using it = await scene();
  it.model('m');
  await it.load('m', { keep_alive: -1 });
  await it.order('/signal', { signal: 'SIGSTOP' });
  await it.unload('m');
  expect(await it.ps()).toEqual([]);
});

it('holds every load behind a frozen runner that has a stream, until its client leaves', async () => {
  await using it = await scene({ pingMs: 60, tokenMs: 200, numParallel: 2 });
  for (const name of ['m', 'hot', 'cold']) it.model(name);
  for (const name of ['m', 'hot']) await it.load(name);
  const stop = await stream(it, 'm');
  await it.order('/signal', { model: 'm', signal: 'SIGSTOP' });
  const again = it.post('/api/generate', say('m', { options: { num_predict: 1 } }));
  await until(async () => (await it.order('/fault')).body.waiting === 0 && !(await isOpen(it.ps(), 1000)));
  const cold = it.post('/api/generate', { model: 'cold' });
  expect(await isOpen(cold, 150)).toBe(true);
  expect((await it.post('/api/generate', { model: 'hot' })).status).toBe(200);
  stop();
  expect((await again).lines.at(-1)?.done).toBe(true);
  expect((await cold).status).toBe(200);
});

it('loses an unload that comes during the load', async () => {
  await using it = await scene({ loadMs: 200 });
  it.model('m');
  const load = it.load('m');
  await until(() => it.fake.loadingPids().length === 1);
  expect((await it.unload('m')).lines[0]?.done_reason).toBe('unload');
  await load;
  expect((await it.ps()).map((row) => row.name)).toEqual(['m:latest']);
});

it.each([
  ['goes on by itself when the busy model ends', {}, false],
  ['is stuck for ever after a request with keep_alive for the model that should leave', { keep_alive: '5m' }, true],
] as const)('a load that needs the place of a busy model %s', async (_what, more, stuck) => {
  await using it = await scene({ maxLoaded: 1, tokenMs: 3, numParallel: 2 });
  for (const name of ['hot', 'cold']) it.model(name);
  await it.load('hot', { keep_alive: -1 });
  const busy = it.post('/api/generate', say('hot'));
  await until(() => it.fake.runners()[0]?.refs === 1);
  const cold = it.post('/api/generate', { model: 'cold' });
  await until(async () => Date.parse((await it.ps())[0]?.expires_at ?? '') <= Date.now());
  await it.post('/api/generate', say('hot', { ...more, options: { num_predict: 1 } }));
  await busy;
  if (!stuck) return void expect((await cold).status).toBe(200);
  expect(await isOpen(cold, 150)).toBe(true);
  expect((await it.post('/api/generate', say('hot', { options: { num_predict: 1 } }))).status).toBe(200);
  await it.unload('hot');
  expect((await cold).status).toBe(200);
});

it('wedges on demand: loads hang, loaded models answer, and an unload of a loaded model or the end of the fault frees them', async () => {
  await using it = await scene();
  for (const name of ['hot', 'warm', 'cold', 'last']) it.model(name);
  for (const name of ['hot', 'warm']) await it.load(name, { keep_alive: -1 });
  await it.order('/fault', { wedge: true });
  const cold = it.post('/api/generate', { model: 'cold' });
  expect(await isOpen(cold, 100)).toBe(true);
  expect((await it.ps()).length).toBe(2);
  expect((await it.post('/api/generate', say('hot'))).lines.at(-1)?.done).toBe(true);
  expect(it.fake.loadingPids()).toEqual([]);
  await it.unload('warm');
  expect((await cold).status).toBe(200);
  const last = it.post('/api/generate', { model: 'last' });
  expect(await isOpen(last, 50)).toBe(true);
  await it.order('/clear');
  expect((await last).status).toBe(200);
});

it('evicts the idle model with the shortest keep-alive when enough are loaded', async () => {
  await using it = await scene({ maxLoaded: 2 });
  for (const name of ['a', 'b', 'c']) it.model(name);
  await it.load('a', { keep_alive: -1 });
  await it.load('b', { keep_alive: '1h' });
  await it.load('c');
  expect((await it.ps()).map((row) => row.name)).toEqual(['a:latest', 'c:latest']);
});

it('reloads for another option of the runner, not for an equal one, and cuts num_ctx to what the model was trained for', async () => {
  await using it = await scene({ contextLength: 2048 });
  it.model('m');
  const pid = await it.load('m');
  expect(await it.load('m', { options: { num_ctx: 2048, temperature: 0, num_batch: 512 } })).toBe(pid);
  const other = await it.load('m', { options: { num_batch: 256 } });
  expect(other).not.toBe(pid);
  await it.load('m', { options: { num_ctx: 1_000_000 } });
  expect((await it.ps())[0]?.context_length).toBe(8192);
});

it('calls a tool when one is offered to a model that has tools, and speaks when the tool has answered', async () => {
  await using it = await scene();
  it.model('m', { template: '{{ .Tools }}{{ .Prompt }}', text: 'sunny now' });
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', required: ['city'] } } }];
  const ask = (messages: unknown) => it.post('/api/chat', { model: 'm', tools, messages });
  const told = await ask([{ role: 'user', content: 'how is it?' }]);
  expect(told.lines[0]?.message?.tool_calls?.[0]?.function).toEqual({ index: 0, name: 'weather', arguments: { city: 'example' } });
  expect(told.lines.at(-1)?.done_reason).toBe('stop');
  const after = await ask([{ role: 'tool', content: 'sun' }]);
  expect(after.lines.map((line) => line.message?.content).join('')).toBe(' sunny now');
});

it('can refuse to go on in a started answer while thinking is on', async () => {
  await using it = await scene();
  it.model('m', { template: null, gguf: { 'fake.native': true, 'fake.thinking': true, 'fake.refuses_prefill': true } });
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', content: 'river' },
  ];
  const told = await it.post('/api/chat', { model: 'm', messages });
  expect([told.status, told.lines[0]?.error]).toEqual([400, expect.stringContaining('prefill is incompatible with enable_thinking')]);
  expect((await it.post('/api/chat', { model: 'm', messages, think: false })).status).toBe(200);
});

it('refuses to push: there is no account', async () => {
  await using it = await scene();
  it.model('m');
  const told = await it.post('/api/push', { model: 'm' });
  expect(told.lines).toEqual([{ status: 'retrieving manifest' }, { error: expect.stringContaining('not authorized to push') }]);
  expect((await it.post('/api/push', { model: 'nosuch', stream: false })).status).toBe(500);
});

it('finds names without case and without a tag, and echoes them as they were asked', async () => {
  await using it = await scene();
  it.model('Some/Model:V1');
  it.model('plain');
  for (const name of ['some/model:v1', 'plain', 'PLAIN:latest', 'registry.ollama.ai/library/plain:latest']) {
    const reply = await fetch(`${it.fake.url}/api/generate`, { method: 'POST', body: JSON.stringify({ model: name }) });
    expect([reply.status, ((await reply.json()) as { model: string }).model]).toEqual([200, name]);
  }
});

it.each([
  ['spares orphans when it may not prune', { noPrune: true }, true],
  ['takes orphans of any age as before 0.21', { pruneGraceMs: 0 }, false],
] as const)('at its start %s', async (_what, options, stays) => {
  await using it = await scene();
  // Its own start, prune included, is over.
  await fetch(it.fake.url);
  const { blobs } = it.model('m');
  const folder = join(it.store, 'blobs');
  const orphan = join(folder, `sha256-${'b'.repeat(64)}`);
  writeFileSync(orphan, 'x');
  utimesSync(orphan, new Date(Date.now() - 5000), new Date(Date.now() - 5000));
  const name = `sha256-${blobs[0]?.digest}`;
  renameSync(join(folder, name), join(folder, name.replace('-', ':')));
  mkdirSync(join(it.store, 'manifests/registry.ollama.ai/library/empty'), { recursive: true });
  const other = await startFakeOllama({ store: it.store, ...options });
  expect((await fetch(other.url)).status).toBe(200);
  await other.close();
  expect(existsSync(orphan)).toBe(stays);
  expect(existsSync(join(folder, name))).toBe(true);
  expect(existsSync(join(it.store, 'manifests/registry.ollama.ai/library/empty'))).toBe(stays);
});
