// agentctl replication, verify, and models with its restore and its watch.
import { afterEach, describe, expect, test } from 'vitest';
import { type Answers, type FakeControl, failing, replicationReply, startFakeControl } from './fake-control.ts';
import { agentctl, type RunOptions } from './run.ts';

let fake: FakeControl | undefined;

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

async function run(argv: readonly string[], answers: Partial<Answers> = {}, options: RunOptions = {}) {
  fake?.stop();
  fake = await startFakeControl(answers);
  return await agentctl([...argv, '--socket', fake.socket], { env: { USER: 'ann' }, ...options });
}

const ordered = (name: string) => fake?.orders.filter(([call]) => call === name).map(([, request]) => request);

describe('replication status', () => {
  test('shows what is behind, on its way, to be deleted and kept', async () => {
    await expect((await run(['replication', 'status'])).out).toMatchFileSnapshot('snapshots/replication.txt');
  });

  test('is what replication alone shows', async () => {
    expect((await run(['replication'])).out).toBe((await run(['replication', 'status'])).out);
  });

  test('names the alert and the pause', async () => {
    const alert = 'the active lost 9 of 10 models at once';
    const { out } = await run(['replication', 'status'], { replication: replicationReply({ alert, paused: true, windowOpen: false }) });
    expect(out).toContain(`alert: ${alert}`);
    expect(out).toContain('window 22:00-06:00 closed: required models only');
    expect(out).toContain('paused: agentctl replication resume');
  });

  test('JSON has plain numbers', async () => {
    const { out } = await run(['replication', 'status', '--json']);
    expect(JSON.parse(out)).toMatchObject({ bytesBehind: 3e9, transfers: [{ etaMs: 60_000 }], scrub: { checkedBlobs: 9 } });
  });

  test('a node without models says so', async () => {
    const ran = await run(['replication', 'status'], { replication: failing('UNAVAILABLE', 'this node has no model store') });
    expect(ran.code).toBe(4);
  });
});

describe('replication orders', () => {
  test.each(['pause', 'resume', 'now', 'accept-deletes'])('%s tells the agent who ordered it', async (action) => {
    const ran = await run(['replication', action]);
    expect(ran).toMatchObject({ code: 0, out: 'done: copying goes on\n' });
    expect(ordered('replicationOrder')).toEqual([{ action, by: 'ann', bytesPerSecondMax: 0n }]);
  });

  test.each([
    ['50M', 50_000_000n],
    ['0', 0n],
    ['1500', 1500n],
  ])('limit %s is %s bytes per second', async (text, bytesPerSecondMax) => {
    await run(['replication', 'limit', text]);
    expect(ordered('replicationOrder')).toMatchObject([{ action: 'limit', bytesPerSecondMax }]);
  });

  test('a limit that is none is refused', async () => {
    expect(await run(['replication', 'limit', 'fast'])).toMatchObject({ code: 64 });
  });
});

describe('verify', () => {
  const bad = (state: string) => ({
    id: 3,
    phase: 'done',
    models: 1,
    blobs: 2,
    blobsDone: 2,
    bytes: 10n,
    bytesDone: 10n,
    bad: [{ digest: 'ab'.repeat(32), sizeBytes: 5n, models: ['tiny:latest'], state }],
  });

  test('a sound store ends with 0', async () => {
    const ran = await run(['verify', 'tiny', 'qwen3:0.6b']);
    expect(ran).toMatchObject({ code: 0, out: '2 models, 9 of 9 blobs, 6.0G read: sound\n' });
    expect(ordered('verify')).toEqual([{ id: 0, models: ['tiny', 'qwen3:0.6b'], repair: false, by: 'ann' }]);
  });

  test('a corrupt blob is named and ends with 1, a repaired one with 0', async () => {
    const ran = await run(['verify'], { verify: bad('corrupt') });
    expect(ran.code).toBe(1);
    expect(ran.out).toContain(`  corrupt: ${'ab'.repeat(32)} (5B) of tiny:latest`);
    expect(await run(['verify', '--repair'], { verify: bad('repaired') })).toMatchObject({ code: 0 });
    expect(JSON.parse((await run(['verify', '--json'], { verify: bad('missing') })).out)).toMatchObject({ bad: [{ state: 'missing' }] });
  });

  test('asks about its own pass until that is done', async () => {
    const answers = { verify: { ...bad('corrupt'), phase: 'reading', bad: [] } } as Partial<Answers>;
    fake = await startFakeControl(answers);
    const running = agentctl(['verify', '--socket', fake.socket], { env: { USER: 'ann' } });
    while ((ordered('verify')?.length ?? 0) < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    fake.answers.verify = { ...bad('corrupt'), bad: [] };
    expect((await running).code).toBe(0);
    expect(ordered('verify')?.slice(0, 2)).toMatchObject([{ id: 0 }, { id: 3 }]);
  });
});

describe('models', () => {
  test('restore brings a model back, also under another name', async () => {
    expect(await run(['models', 'restore', 'qwen3:0.6b', '--as', 'qwen3-old'])).toMatchObject({ code: 0 });
    expect(ordered('restore')).toEqual([{ model: 'qwen3:0.6b', as: 'qwen3-old', by: 'ann' }]);
  });

  test('a refused restore says what to do', async () => {
    const ran = await run(['models', 'restore', 'x'], { restore: failing('FAILED_PRECONDITION', 'no x:latest is in the quarantine') });
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('no x:latest is in the quarantine');
  });

  test('the watch redraws the table with what is on its way', async () => {
    const stop = new AbortController();
    let drawn = 0;
    const onOut = () => {
      drawn += 1;
      if (drawn === 2) stop.abort();
    };
    const ran = await run(['models', '--watch', '0.05'], {}, { isTty: true, signal: stop.signal, onOut });
    expect(ran.out.split('\x1b[H\x1b[2J')).toHaveLength(3);
    expect(ran.out).toContain('[#########...........]  45 % 2.5G of 5.5G, 50M/s, 1m left  minicpm-v:8b blobs from gpu1');
  });

  test('the table still takes its options without a word in between', async () => {
    expect(JSON.parse((await run(['models', '--json'])).out)).toMatchObject({ nodes: ['gpu1', 'gpu2', 'gpu3'] });
  });
});
