// A fake on a store of its own, with its control port, for tests of the faults.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FakeOptions } from './options.ts';
import { type FakeOllama, startFakeOllama } from './server.ts';
import { type ModelSpec, type WrittenModel, writeModel } from './store.ts';

/** A line of an answer, as far as tests look at it. */
export type Line = {
  readonly error?: string;
  readonly response?: string;
  readonly message?: { readonly content: string; readonly tool_calls?: readonly { readonly function: { readonly name: string } }[] };
  readonly done?: boolean;
  readonly done_reason?: string;
};

/** An answer: its status, its lines, and whether the connection broke inside it. */
export type Told = { readonly status: number; readonly lines: readonly Line[]; readonly broken: boolean };

/** A row of /api/ps. */
export type Loaded = {
  readonly name: string;
  readonly size: number;
  readonly size_vram: number;
  readonly context_length: number;
  readonly expires_at: string;
};

/** A fake under test. The store goes with it. */
export interface Scene {
  readonly store: string;
  readonly fake: FakeOllama;
  model(name: string, spec?: ModelSpec): WrittenModel;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Told>;
  /** Loads a model; gives its runner's process id. */
  load(model: string, more?: Readonly<Record<string, unknown>>): Promise<number>;
  unload(model: string): Promise<Told>;
  ps(): Promise<readonly Loaded[]>;
  /** An order to the control port; gives its status and answer. */
  order(
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly body: { readonly error?: string; readonly waiting?: number } }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts it. */
export async function scene(options: Partial<FakeOptions> = {}): Promise<Scene> {
  const store = mkdtempSync(join(tmpdir(), 'fake-scene-'));
  const fake = await startFakeOllama({ loadMs: 1, tokenMs: 1, firstTokenMs: 0, controlPort: 0, ...options, store });
  const post = async (path: string, body: unknown, signal?: AbortSignal): Promise<Told> => {
    const reply = await fetch(`${fake.url}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    let text = '';
    let broken = false;
    try {
      const decoder = new TextDecoder();
      for await (const bytes of reply.body ?? []) text += decoder.decode(bytes, { stream: true });
    } catch {
      broken = true;
    }
    const lines = text.split('\n').filter((line) => line.endsWith('}'));
    return { status: reply.status, lines: lines.map((line) => JSON.parse(line)), broken };
  };
  return {
    store,
    fake,
    model: (name, spec) => writeModel(store, name, { seed: name, ...spec }),
    post,
    async load(model, more = {}) {
      const told = await post('/api/generate', { model, ...more });
      if (told.status !== 200) throw new Error(`load of ${model}: ${told.status} ${told.lines[0]?.error}`);
      return fake.runners().find((runner) => runner.name.startsWith(model))?.pid ?? 0;
    },
    unload: (model) => post('/api/generate', { model, keep_alive: 0 }),
    ps: async () => ((await (await fetch(`${fake.url}/api/ps`)).json()) as { models: readonly Loaded[] }).models,
    async order(path, body = {}) {
      const reply = await fetch(`${fake.controlUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
      return { status: reply.status, body: (await reply.json()) as { error?: string; waiting?: number } };
    },
    async [Symbol.asyncDispose]() {
      await fake.close();
      rmSync(store, { recursive: true, force: true });
    },
  };
}

/** Waits until something holds; asked each 5 ms. */
export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((settle) => setTimeout(settle, 5));
}

/** Whether a promise is still open after `ms`. */
export async function isOpen(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const open = Symbol('open');
  return (await Promise.race([promise, new Promise((settle) => setTimeout(settle, ms, open))])) === open;
}
