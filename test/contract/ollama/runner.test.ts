import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { recordedStore, type World, world } from './world.ts';

/** Waits until something holds; asked each 5 ms. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((settle) => setTimeout(settle, 5));
}

function runnerPid(it: World): number {
  const runner = it.fake.runners()[0];
  if (runner === undefined) throw new Error('no runner is loaded');
  return runner.pid;
}

/** Sends the recorded request and signals the runner when so many chunks have come. */
async function struck(it: World, name: string, signal: 'SIGKILL' | 'SIGSTOP', chunks: number, timeoutMs = 10_000) {
  let done = false;
  const seen = (count: number) => {
    if (done || chunks === 0 || count < chunks) return;
    done = true;
    process.kill(runnerPid(it), signal);
  };
  const reply = it.sends(name, { timeoutMs }, seen);
  if (chunks === 0) {
    await until(() => it.fake.runners()[0]?.refs === 1);
    process.kill(runnerPid(it), signal);
  }
  return reply;
}

it.each(['runner-killed-mid-stream', 'chat-runner-killed-mid-stream', 'v1-runner-killed-mid-stream'])(
  '%s: an error ends the stream',
  async (name) => {
    await using it = await world(recordedStore(), { tokenMs: 20 });
    const reply = await struck(it, name, 'SIGKILL', 5);
    it.demands(name, reply);
  },
);

it.each([
  'runner-killed-before-first-byte',
  'chat-runner-killed-before-first-byte',
  'v1-runner-killed-before-first-byte',
  'runner-killed-nonstream',
])('%s: 500, then the next request reloads', async (name) => {
  await using it = await world(recordedStore(), { firstTokenMs: 3000, contextLength: 100_000 });
  await it.posts('/api/generate', { model: 'mid' });
  it.demands(name, await struck(it, name, 'SIGKILL', 0));
  expect((await it.posts('/api/generate', { model: 'mid' })).status).toBe(200);
});

it.each(['load-crash-500', 'load-crash-stream-500'])('%s: a runner that dies while loading', async (name) => {
  await using it = await world(recordedStore(), { loadMs: 5000 });
  const reply = it.sends(name);
  const pid = await loadingPid(it);
  process.kill(pid, 'SIGKILL');
  it.demands(name, await reply);
});

it('gives up a load that stalls: load-stall-500', async () => {
  await using it = await world(recordedStore(), { loadMs: 5000, loadTimeoutMs: 200 });
  it.demands('load-stall-500', await it.sends('load-stall-500'));
});

it('cancels the load when the client leaves, and loads nothing: client-abort-while-loading', async () => {
  await using it = await world(recordedStore(), { loadMs: 600 });
  it.demands('client-abort-while-loading', await it.sends('client-abort-while-loading', { closeAfterMs: 100 }));
  expect((await it.posts('/api/generate', { model: 'tiny' })).status).toBe(200);
  expect(it.fake.runners().map((runner) => runner.name)).toEqual(['tiny:latest']);
});

it('frees the slot when the client leaves: client-abort-while-generating', async () => {
  await using it = await world(recordedStore(), { tokenMs: 10 });
  it.demands('client-abort-while-generating', await it.sends('client-abort-while-generating', { closeAfterChunks: 5 }));
  await until(() => it.fake.runners()[0]?.refs === 0);
  expect((await it.posts('/api/generate', { model: 'mid', prompt: 'hi', stream: false, options: { num_predict: 2 } })).status).toBe(200);
});

it('falls silent without an error when the runner is stopped: hung-runner-stream', async () => {
  await using it = await world(recordedStore(), { tokenMs: 20, pingMs: 100 });
  await it.posts('/api/generate', { model: 'mid' });
  // The stop takes effect after the seventeenth token, so the eighteenth never comes.
  const reply = await struck(it, 'hung-runner-stream', 'SIGSTOP', 17, 1500);
  expect(reply.chunks?.length).toBeLessThanOrEqual(18);
  it.demands('hung-runner-stream', { ...reply, chunks: reply.chunks?.slice(0, 17) ?? null });
});

it('reloads an idle runner that is stopped, and /api/ps waits meanwhile: hung-idle', async () => {
  await using it = await world(recordedStore(), { pingMs: 400 });
  for (const model of ['tiny', 'mid']) await it.posts('/api/generate', { model });
  it.demands('hung-idle-ps', await it.sends('hung-idle-ps'));
  const mid = it.fake.runners().find((runner) => runner.name === 'mid:latest');
  process.kill(mid?.pid ?? 0, 'SIGSTOP');
  const answer = it.sends('hung-idle-generate-1-token');
  await until(() => it.fake.requests()['POST /api/generate'] === 3);
  await new Promise((settle) => setTimeout(settle, 30));
  const blocked = await it.sends('hung-idle-ps-blocked');
  expect(blocked.firstByteMs).toBeGreaterThan(200);
  it.demands('hung-idle-ps-blocked', blocked);
  it.demands('hung-idle-generate-1-token', await answer);
});

it('refuses a prompt that is too long: generate-too-long', async () => {
  await using it = await world(recordedStore());
  await it.replays('generate-too-long', { body: JSON.stringify({ model: 'tiny', prompt: 'word '.repeat(1800) }) });
});

it.each(['sigterm-while-streaming', 'sigterm-while-nonstream', 'sigterm-while-loading'])(
  '%s: every connection drops at once',
  async (name) => {
    await using it = await world(recordedStore(), { tokenMs: 20, loadMs: name === 'sigterm-while-loading' ? 3000 : 5 });
    let closing: Promise<void> | null = null;
    const reply = it.sends(name, {}, (chunks) => {
      if (chunks >= 5) closing ??= it.fake.close();
    });
    if (name !== 'sigterm-while-streaming') {
      await (name === 'sigterm-while-loading' ? loadingPid(it) : until(() => it.fake.runners()[0]?.refs === 1));
      closing = it.fake.close();
    }
    it.demands(name, await reply);
    await closing;
  },
);

it('is refused when nobody listens: connection-refused', async () => {
  await using it = await world(recordedStore());
  await it.fake.close();
  const reply = await it.sends('connection-refused');
  expect({ status: reply.status, end: reply.end }).toEqual({ status: null, end: 'ConnectionRefusedError' });
  await new Promise<void>((settle) => connect({ port: it.fake.port, host: '127.0.0.1' }).on('error', () => settle()));
});

async function loadingPid(it: World): Promise<number> {
  for (;;) {
    const pid = it.fake.loadingPids()[0];
    if (pid !== undefined && it.fake.runners().length === 0) return pid;
    await new Promise((settle) => setTimeout(settle, 5));
  }
}
