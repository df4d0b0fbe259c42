// Every fault of the control port does what README.md says of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { NO_FAULTS } from './faults.ts';
import { isOpen, scene, until } from './scene.ts';

const FOREVER = { keep_alive: -1 };
const say = (model: string, more = {}) => ({ model, prompt: 'x', ...more });

it('stops inference only: the root, version, tags and ps go on while generate hangs', async () => {
  await using it = await scene();
  it.model('m');
  await it.order('/fault', { hang: 'inference' });
  const gone = new AbortController();
  const hung = it.post('/api/generate', say('m'), gone.signal).catch(() => 'gone');
  for (const path of ['/', '/api/version', '/api/tags', '/api/ps']) expect((await fetch(it.fake.url + path)).status, path).toBe(200);
  expect(await isOpen(hung, 50)).toBe(true);
  gone.abort();
  await it.order('/clear');
  expect((await it.post('/api/generate', say('m'))).lines.at(-1)?.done).toBe(true);
});

it('freezes as a whole, or resets every connection', async () => {
  await using it = await scene();
  await it.order('/fault', { hang: 'all' });
  const version = fetch(`${it.fake.url}/api/version`, { signal: AbortSignal.timeout(80) });
  await expect(version).rejects.toThrow('timeout');
  await it.order('/fault', { hang: 'none', reset: true });
  const reset = new Promise((settle) => {
    const socket = connect({ port: it.fake.port, host: '127.0.0.1' }, () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.on('error', (error) => settle('code' in error ? error.code : ''));
  });
  expect(await reset).toBe('ECONNRESET');
});

it('fails so many listings of the store, then none', async () => {
  await using it = await scene();
  it.model('m');
  await it.order('/fault', { listingErrors: 3 });
  const tags = await fetch(`${it.fake.url}/api/tags`);
  expect([tags.status, await tags.text()]).toEqual([500, expect.stringMatching(/"stat .*: no such file or directory"/)]);
  expect(await it.post('/api/generate', say('m'))).toMatchObject({ status: 404, lines: [{ error: "model 'm' not found" }] });
  expect(await it.post('/api/chat', { model: 'm' })).toMatchObject({ status: 400, lines: [{ error: 'model is required' }] });
  expect((await fetch(`${it.fake.url}/api/tags`)).status).toBe(200);
});

it.each(['stallAfterTokens', 'runnerStallAfterTokens'] as const)(
  'goes silent in a stream, with a healthy runner, and the slot stays taken: %s',
  async (fault) => {
    await using it = await scene();
    it.model('m');
    await it.order('/fault', { [fault]: 1, times: 1 });
    const gone = new AbortController();
    const reply = await fetch(`${it.fake.url}/api/generate`, { method: 'POST', body: JSON.stringify(say('m')), signal: gone.signal });
    const reader = reply.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/"done":false\}\n$/);
    const more = reader?.read().catch(() => null) ?? Promise.resolve();
    expect(await isOpen(more, 60)).toBe(true);
    expect((await fetch(`http://127.0.0.1:${it.fake.runners()[0]?.port}/health`)).status).toBe(200);
    const waiting = it.post('/api/generate', say('m'));
    expect(await isOpen(waiting, 60)).toBe(true);
    gone.abort();
    expect((await waiting).lines.at(-1)?.done).toBe(true);
  },
);

it('breaks the connection inside a stream', async () => {
  await using it = await scene();
  it.model('m');
  await it.order('/fault', { cutAfterTokens: 2 });
  const told = await it.post('/api/generate', say('m'));
  expect([told.status, told.lines.length, told.broken]).toEqual([200, 2, true]);
});

it('crashes once, or in a loop; each next request starts a new runner', async () => {
  await using it = await scene();
  it.model('m');
  const first = await it.load('m');
  await it.order('/fault', { crashAfterTokens: 1, times: 1 });
  const died = 'an error was encountered while running the model: unexpected EOF';
  expect((await it.post('/api/generate', say('m'))).lines.at(-1)).toEqual({ error: died });
  expect(() => process.kill(first, 0)).toThrow('ESRCH');
  expect((await it.post('/api/generate', say('m'))).lines.at(-1)?.done).toBe(true);
  await it.order('/fault', { crashAfterTokens: 0, times: null });
  for (let i = 0; i < 2; i++) expect(await it.post('/api/generate', say('m'))).toMatchObject({ status: 500, lines: [{ error: died }] });
});

it('fails a load with the words of the runner', async () => {
  await using it = await scene();
  it.model('m');
  await it.order('/fault', { loadError: 'GGML_ASSERT(x) failed', times: 1 });
  const error = 'llama-server process has terminated: exit status 1: GGML_ASSERT(x) failed';
  expect(await it.post('/api/generate', { model: 'm' })).toMatchObject({ status: 500, lines: [{ error }] });
  expect((await it.post('/api/generate', { model: 'm' })).status).toBe(200);
});

it('refuses a load before a runner starts, with any answer, and gives up one that stalls', async () => {
  await using it = await scene();
  it.model('m');
  const gone = 'model "m" not found, try pulling it first';
  await it.order('/fault', { loadRefusal: { status: 404, error: gone } });
  expect(await it.post('/api/generate', { model: 'm' })).toMatchObject({ status: 404, lines: [{ error: gone }] });
  expect(it.fake.runners()).toEqual([]);
  await it.order('/fault', { loadRefusal: null, loadMs: 60_000, loadTimeoutMs: 50 });
  const stalled = await it.post('/api/generate', { model: 'm' });
  expect(stalled).toMatchObject({ status: 500, lines: [{ error: 'timed out waiting for llama-server to start - ' }] });
  expect(it.fake.loadingPids()).toEqual([]);
});

it('leaves a process behind when a model leaves, until the fault is gone', async () => {
  await using it = await scene();
  it.model('m');
  const pid = await it.load('m', FOREVER);
  await it.order('/fault', { zombies: true });
  await it.unload('m');
  expect(await it.ps()).toEqual([]);
  const health = `http://127.0.0.1:${/--port\0(\d+)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'latin1'))?.[1]}/health`;
  expect((await fetch(health)).status).toBe(200);
  await it.order('/clear');
  await until(() =>
    fetch(health).then(
      () => false,
      () => true,
    ),
  );
});

it('fails with images and goes on with text, and tells another version', async () => {
  await using it = await scene();
  it.model('m', { projectorBytes: 64 });
  await it.order('/fault', { brokenVision: true, version: '0.30.1' });
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsPVkVAAAAABJRU5ErkJggg==';
  const seen = await it.post('/api/generate', say('m', { images: [png] }));
  expect([seen.status, seen.lines[0]?.error]).toEqual([500, expect.stringContaining('failed to process image')]);
  expect((await it.post('/api/generate', say('m'))).lines.at(-1)?.done).toBe(true);
  expect(await (await fetch(`${it.fake.url}/api/version`)).json()).toEqual({ version: '0.30.1' });
});

it('gives no byte of a model that does not leave, and answers when it has left', async () => {
  await using it = await scene();
  it.model('m');
  await it.load('m', FOREVER);
  await it.order('/fault', { stuckUnload: true });
  await it.unload('m');
  const asked = it.post('/api/generate', say('m'));
  expect(await isOpen(asked, 60)).toBe(true);
  await it.order('/clear');
  expect((await asked).lines.at(-1)?.done).toBe(true);
});

it('throws out all others when memory does not suffice for a load, and tries again with less context', async () => {
  await using it = await scene({ contextLength: 4096 });
  for (const name of ['a', 'b', 'c']) it.model(name);
  await it.load('a', FOREVER);
  await it.load('b', FOREVER);
  await it.order('/fault', { loadError: 'cudaMalloc failed: out of memory', times: 1 });
  await it.load('c');
  expect((await it.ps()).map((row) => [row.name, row.context_length])).toEqual([['c:latest', 2048]]);
  await it.order('/fault', { loadError: 'cudaMalloc failed: out of memory', times: null });
  const told = await it.post('/api/generate', { model: 'a' });
  expect([told.status, told.lines[0]?.error]).toEqual([500, expect.stringContaining('reported out-of-memory during startup')]);
});

it('loses every model when memory runs out while one speaks, keep_alive -1 too', async () => {
  await using it = await scene();
  for (const name of ['a', 'b']) it.model(name);
  for (const name of ['a', 'b']) await it.load(name, FOREVER);
  await it.order('/fault', { oomAfterTokens: 0, times: 1 });
  const told = await it.post('/api/generate', say('a'));
  expect([told.status, told.lines[0]?.error]).toEqual([500, expect.stringContaining('out of memory')]);
  expect(await it.ps()).toEqual([]);
  await it.load('a', FOREVER);
  await it.order('/expire');
  expect(await it.ps()).toEqual([]);
});

it('runs models on the CPU that are loaded after the device is lost, much slower', async () => {
  await using it = await scene();
  for (const name of ['a', 'b']) it.model(name);
  await it.load('a');
  await it.order('/fault', { gpuLost: true });
  await it.load('b');
  const share = new Map((await it.ps()).map((row) => [row.name, row.size_vram / row.size]));
  expect([share.get('a:latest'), share.get('b:latest')]).toEqual([1, 0]);
  const took = async (model: string) => {
    const startedAt = performance.now();
    await it.post('/api/generate', say(model, { options: { num_predict: 12 } }));
    return performance.now() - startedAt;
  };
  await it.order('/fault', { tokenMs: 2 });
  expect(await took('b')).toBeGreaterThan(11 * 2 * 20);
  await it.order('/fault', { vramRatio: 0.5 });
  expect((await it.ps()).find((row) => row.name === 'a:latest')?.size_vram).toBeGreaterThan(0);
});

it('keeps models in the memory of the device: what does not fit makes others leave, and alone lies there in part', async () => {
  await using it = await scene({ vramBytes: 200_000 });
  for (const name of ['a', 'b']) it.model(name, { weightsBytes: 100_000 });
  it.model('big', { weightsBytes: 400_000 });
  await it.load('a', FOREVER);
  await it.load('b');
  expect((await it.ps()).map((row) => row.name)).toEqual(['b:latest']);
  await it.load('big');
  expect((await it.ps()).map((row) => [row.name, row.size_vram])).toEqual([['big:latest', 200_000]]);
});

it('keeps a model that should leave, with an end in the past, until the fault is gone', async () => {
  await using it = await scene();
  it.model('m');
  await it.load('m');
  await it.order('/fault', { stuckUnload: true });
  expect((await it.unload('m')).lines[0]?.done_reason).toBe('unload');
  expect(Date.parse((await it.ps())[0]?.expires_at ?? '')).toBeLessThanOrEqual(Date.now());
  await it.order('/clear');
  expect(await it.ps()).toEqual([]);
});

it('holds /api/ps while a model leaves slowly', async () => {
  await using it = await scene();
  it.model('m');
  await it.load('m');
  await it.order('/fault', { unloadMs: 200 });
  await it.unload('m');
  const startedAt = performance.now();
  expect(await it.ps()).toEqual([]);
  expect(performance.now() - startedAt).toBeGreaterThan(100);
});

it('poisons the cache of a model, which another manifest cures', async () => {
  await using it = await scene();
  const { file } = it.model('m');
  await it.order('/poison', { model: 'm' });
  const refused = { status: 400, lines: [{ error: '"m" does not support generate' }] };
  expect(await it.post('/api/generate', say('m'))).toMatchObject(refused);
  const bytes = readFileSync(file);
  writeFileSync(file, `${bytes}\n`);
  expect((await it.post('/api/generate', say('m'))).status).toBe(200);
  writeFileSync(file, bytes);
  expect((await it.post('/api/generate', say('m'))).status).toBe(200);
});

it('says what is wrong with an order, and changes nothing', async () => {
  await using it = await scene();
  const wrong = async (path: string, body: unknown) => (await it.order(path, body)).body.error;
  expect(await wrong('/fault', { loadMs: 'long' })).toBe('loadMs must be null or a number, 0 or more');
  expect(await wrong('/fault', { hang: 'some' })).toBe('hang must be one of none, inference, all');
  expect(await wrong('/fault', { wedge: 1 })).toBe('wedge must be true or false');
  expect(await wrong('/fault', { httpError: { path: '/' } })).toBe('httpError must be null or {path, status, error}');
  expect(await wrong('/fault', { coffee: true })).toContain('unknown fault: coffee');
  expect(await wrong('/signal', { signal: 'SIGUSR1' })).toContain('signal must be one of SIGSTOP');
  expect(await wrong('/signal', { model: 'm', signal: 'SIGKILL' })).toBe('no runner of "m" is loaded');
  expect(await wrong('/poison', { model: 'm' })).toBe('no usable model "m" in the store');
});

it('is described in README.md knob by knob', () => {
  const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
  expect(Object.keys(NO_FAULTS).filter((knob) => !readme.includes(`\`${knob}\``))).toEqual([]);
});

it('waits with everything but the connection while it starts', async () => {
  await using it = await scene({ startDelayMs: 150 });
  const version = fetch(`${it.fake.url}/api/version`);
  expect(await isOpen(version, 50)).toBe(true);
  await until(async () => (await version).status === 200);
});
