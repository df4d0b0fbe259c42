// Replication beside a running Ollama: tags whose model is loaded, and removals, on real stores with the fake Ollama on the standby's.
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LoadedPort } from '../../../src/agent/ports.ts';
import { createRemover } from '../../../src/agent/remover.ts';
import { openLoaded } from '../../../src/drivers/ollama/loaded.ts';
import type { FakeOllama } from '../../fake-ollama/server.ts';
import { startFakeOllama } from '../../fake-ollama/server.ts';
import { writeModel } from '../../fake-ollama/store.ts';
import { complete, freshRoot, manifestFile, modelWhere, open } from '../store/models.ts';
import { source, standby } from './pair.ts';

const PATH = 'registry.ollama.ai/library/tiny/latest';

type Ollama = { readonly root: string; readonly fake: FakeOllama; readonly port: LoadedPort };

/** A fake Ollama on a fresh store with the model `tiny`. */
async function ollama(seed: string): Promise<Ollama> {
  const root = freshRoot();
  writeModel(root, 'tiny', { seed, weightsBytes: 20_000 });
  const fake = await startFakeOllama({ store: root });
  const port = openLoaded(fake.url, Date.now);
  onTestFinished(async () => {
    await port.close();
    await fake.close();
  });
  return { root, fake, port };
}

async function generate({ fake }: Ollama, body: Record<string, unknown>): Promise<void> {
  const reply = await fetch(`${fake.url}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model: 'tiny', stream: false, ...body }),
  });
  expect(reply.status, await reply.text()).toBe(200);
}

const never = new AbortController().signal;
const pause = (ms: number, signal: AbortSignal) => wait(Math.min(ms, 20), undefined, { signal });

describe('the models an Ollama has loaded', () => {
  it('are named with digest, context and what is left of their time', async () => {
    const me = await ollama('a');
    expect(await me.port.loaded(never)).toEqual([]);
    await generate(me, { keep_alive: 120, options: { num_ctx: 1024 } });
    const [row] = (await me.port.loaded(never)) ?? [];
    expect(row).toMatchObject({ name: 'tiny:latest', contextLength: 1024 });
    expect(row?.keepAliveMs).toBeGreaterThan(110_000);
    await generate(me, { keep_alive: -1 });
    expect(await me.port.loaded(never)).toMatchObject([{ keepAliveMs: null }]);
  });

  it('can be unloaded and loaded again as they were', async () => {
    const me = await ollama('a');
    await generate(me, { keep_alive: -1, options: { num_ctx: 1024 } });
    const [row] = (await me.port.loaded(never)) ?? [];
    if (row === undefined) throw new Error('loaded');
    expect(await me.port.unload('tiny:latest', never)).toBe(true);
    expect([await me.port.loaded(never), me.fake.runners()]).toEqual([[], []]);
    expect(await me.port.preload(row, never)).toBe(true);
    expect(await me.port.loaded(never)).toMatchObject([{ name: 'tiny:latest', contextLength: 1024, keepAliveMs: null }]);
  });

  it('are unknown when Ollama does not answer', async () => {
    const me = await ollama('a');
    await me.fake.fault({ refuse: true });
    expect(await me.port.loaded(never)).toBeNull();
  });
});

describe('a tag whose model is loaded', () => {
  it('is unloaded, swapped, and loaded again with its new content: no runner of the old weights stays', async () => {
    const me = await ollama('old');
    await generate(me, { keep_alive: -1 });
    const [before] = me.fake.runners();
    const gpu1 = await source('gpu1', []);
    const next = writeModel(gpu1.root, 'tiny', { seed: 'new', weightsBytes: 20_000 });
    await complete(gpu1.store, PATH);
    const node = await standby([gpu1], { root: me.root, loaded: me.port });
    await complete(node.store, PATH);
    node.replicator.apply(node.plan());
    await modelWhere(node.store, PATH, (model) => model.complete && model.manifestDigest === next.manifestDigest);
    while (!node.events.some((event) => event.startsWith('replication_reloaded'))) await wait(5);
    expect(await me.port.loaded(never)).toMatchObject([{ name: 'tiny:latest', digest: next.manifestDigest, keepAliveMs: null }]);
    const after = me.fake.runners();
    expect(after).toHaveLength(1);
    expect(after[0]?.pid).not.toBe(before?.pid);
  });

  it('is only swapped when it is not loaded', async () => {
    const me = await ollama('old');
    const gpu1 = await source('gpu1', []);
    const next = writeModel(gpu1.root, 'tiny', { seed: 'new', weightsBytes: 20_000 });
    await complete(gpu1.store, PATH);
    const node = await standby([gpu1], { root: me.root, loaded: me.port });
    await complete(node.store, PATH);
    node.replicator.apply(node.plan());
    await modelWhere(node.store, PATH, (model) => model.manifestDigest === next.manifestDigest);
    expect(me.fake.runners()).toEqual([]);
  });
});

describe('the remover', () => {
  async function remover(me: Ollama) {
    const store = await open(me.root);
    const model = await complete(store, PATH);
    const events: string[] = [];
    const port = createRemover({ store, loaded: me.port, pause, log: (_level, event, text) => void events.push(`${event}: ${text}`) });
    onTestFinished(() => port.close());
    const order = { path: PATH, manifestDigest: model.manifestDigest, epoch: 7 };
    return { store, port, events, order };
  }

  it('unloads a loaded model before it goes', async () => {
    const me = await ollama('a');
    await generate(me, { keep_alive: -1 });
    const { store, port, events, order } = await remover(me);
    port.apply([order]);
    while (existsSync(manifestFile(me.root, PATH))) await wait(5);
    expect(me.fake.runners()).toEqual([]);
    while (events.length === 0) await wait(5);
    expect(events[0]).toBe(
      'replication_deleted: tiny:latest was removed as on the active; agentctl models restore tiny:latest brings it back',
    );
    expect(await store.quarantined()).toMatchObject([{ path: PATH, kind: 'deleted' }]);
  });

  it('removes nothing while Ollama does not say what is loaded, and says so once', async () => {
    const me = await ollama('a');
    await me.fake.fault({ refuse: true });
    const { port, events, order } = await remover(me);
    port.apply([order]);
    while (events.length === 0) await wait(5);
    await wait(100);
    expect(events).toEqual(['replication_delete_waits: tiny:latest stays for now: Ollama does not say what is loaded']);
    expect(existsSync(manifestFile(me.root, PATH))).toBe(true);
    await me.fake.clear();
    while (existsSync(manifestFile(me.root, PATH))) await wait(5);
  });

  it('does not carry out an order that was taken back', async () => {
    const me = await ollama('a');
    await me.fake.fault({ refuse: true });
    const { port, events, order } = await remover(me);
    port.apply([order]);
    while (events.length === 0) await wait(5);
    port.apply([]);
    await me.fake.clear();
    await wait(150);
    expect(existsSync(manifestFile(me.root, PATH))).toBe(true);
  });
});
