// The recorded store on disk, with weights of the recorded sizes under the recorded digests, and a fake that serves it.
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { encodeGguf, type GgufTensor, type GgufValue } from '../../fake-ollama/gguf.ts';
import type { FakeOptions } from '../../fake-ollama/options.ts';
import { type FakeOllama, startFakeOllama } from '../../fake-ollama/server.ts';
import { writeModel } from '../../fake-ollama/store.ts';
import { comparable, expected, type Loose, RECORDED, recording } from './recordings.ts';
import { send, type WireLimits, type WireReply } from './wire.ts';

/** Weights and projectors of the recorded models. */
export const WEIGHTS = {
  tiny: { digest: 'aa75ed73069acc6bb6e690b17b4360f7486ac9714f9122a758075b0ee24369c9', size: 545_600 },
  tiny2: { digest: 'db9ec3fd7c87107d323618e12a61f83095648e38a428130cb5a11e07675977b9', size: 515_584 },
  tinyv: { digest: '9d04d09118a566d7db89c1a16361530bc1ec46979d5d813025abf95edb73b7e4', size: 502_784 },
  projector: { digest: '5d21f24030a872dcbf9937dc4d02af37554dc1d709a66e589e2487649ed2e12e', size: 173_088 },
  mid: { digest: 'b1f2a35c2394fa58a58881b375f09ee2f5614abf469d23331083bb170a80766e', size: 337_539_584 },
} as const;

/** What tiny2 says; there is no recorded stream of it. */
const SEVEN = 'Seven small boats sail past the old pier while a grey cat counts them from its window. It stops at four and begins again.';

/** A store in a temporary folder. */
export function tempStore(): string {
  return mkdtempSync(join(tmpdir(), 'fake-ollama-'));
}

/** The four recorded models, and the native, thinking, repeating and embedding ones of the recordings. */
export function recordedStore(): string {
  const store = tempStore();
  for (const name of ['tiny', 'tiny2', 'tinyv', 'mid']) putManifest(store, name);
  putBlobs(store);
  const harbour = saidBy('generate-tiny');
  writeModel(store, 'tinyn', { text: harbour, template: null, params: null, seed: 'n', gguf: { 'fake.native': true } });
  writeModel(store, 'tinyt', {
    text: harbour,
    template: null,
    params: null,
    seed: 't',
    gguf: { 'fake.native': true, 'fake.thinking': true },
  });
  writeModel(store, 'tinyr', { text: 'again and more', loopFrom: 2, seed: 'r' });
  writeModel(store, 'tinye', { seed: 'e', gguf: { 'llama.pooling_type': 1 } });
  return store;
}

/** Puts one recorded manifest in place. */
export function putManifest(store: string, name: string): void {
  const folder = join(store, 'manifests/registry.ollama.ai/library', name);
  mkdirSync(folder, { recursive: true });
  cpSync(join(RECORDED, 'store/manifests', `${name}.json`), join(folder, 'latest'));
}

/** Puts every recorded small blob and all weights in place. */
export function putBlobs(store: string): void {
  cpSync(join(RECORDED, 'store/blobs'), join(store, 'blobs'), { recursive: true });
  putWeights(store);
}

/** Puts weights with real headers in place: the values and tensors that /api/show gave, the text that the model spoke. */
export function putWeights(store: string): void {
  mkdirSync(join(store, 'blobs'), { recursive: true });
  for (const name of ['tiny', 'tiny2', 'tinyv'] as const) {
    const shown = JSON.parse(recording(`show-${name}`).response.chunks?.[0]?.text ?? '{}');
    const says = { tiny: saidBy('generate-tiny'), tiny2: SEVEN, tinyv: saidBy('chat-tinyv-image') }[name];
    putWeight(store, name, { ...shown.model_info, 'fake.text': says }, shown.tensors);
    if (name === 'tinyv') putWeight(store, 'projector', shown.projector_info, []);
  }
  const mid = { 'general.architecture': 'llama', 'general.file_type': 1, 'llama.context_length': 8192, 'llama.embedding_length': 1024 };
  putWeight(store, 'mid', { ...mid, 'fake.text': saidBy('hung-runner-stream'), 'fake.loop_from': 0 }, [
    { name: 'token_embd.weight', type: 'F16', shape: [1024, 164_785] },
  ]);
}

function putWeight(
  store: string,
  name: keyof typeof WEIGHTS,
  info: Record<string, GgufValue | null>,
  tensors: readonly GgufTensor[],
): void {
  const missing = name === 'projector' ? 42_496 : 0;
  const all = Object.entries(info).filter(([key]) => key !== 'general.parameter_count');
  const values = all.map(([key, value]) => [key, value ?? ['a', 'b']] as const);
  const filler: GgufTensor[] = missing === 0 ? [] : [{ name: 'v.patch_embd.weight', type: 'F32', shape: [missing] }];
  const file = join(store, 'blobs', `sha256-${WEIGHTS[name].digest}`);
  const handle = openSync(file, 'w');
  writeSync(handle, encodeGguf(new Map(values), [...tensors, ...filler]));
  closeSync(handle);
  truncateSync(file, WEIGHTS[name].size);
}

/** What a recorded stream said, with a mark between its tokens. */
function saidBy(name: string): string {
  const lines = (recording(name).response.chunks ?? []).map((chunk) => JSON.parse(chunk.text));
  return lines.flatMap((line) => (line.done === true ? [] : [line.response ?? line.message.content])).join('\x1f');
}

/** A fake on a store, with what tests do to it. */
export interface World {
  readonly store: string;
  readonly fake: FakeOllama;
  /** Sends the recorded request and demands the recorded reply. */
  replays(name: string, options?: Loose & WireLimits & { readonly body?: string | Buffer; readonly path?: string }): Promise<WireReply>;
  /** Sends a recorded request only. */
  sends(name: string, limits?: WireLimits, seen?: (chunks: number) => void): Promise<WireReply>;
  /** POSTs to a path and gives the reply. */
  posts(path: string, body: unknown): Promise<WireReply>;
  /** Demands that a reply is the recorded one. */
  demands(name: string, reply: WireReply, loose?: Loose): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a fake with the settings of the recordings. The store is removed at the end. */
export async function world(store: string, options: Partial<FakeOptions> = {}): Promise<World> {
  const fake = await startFakeOllama({ contextLength: 2048, loadMs: 5, tokenMs: 1, firstTokenMs: 0, ...options, store });
  // Answered = the start is over, prune and first listing included.
  await send(fake.port, recording('root-get').request);
  const headers = [['Host', '127.0.0.1:11434'] as const, ['Content-Type', 'application/json'] as const];
  const it: World = {
    store,
    fake,
    async replays(name, options = {}) {
      const { request } = recording(name);
      const body = options.body ?? request.body;
      const reply = await send(fake.port, { ...request, body, path: options.path ?? request.path }, options);
      it.demands(name, reply, options);
      return reply;
    },
    sends: (name, limits = {}, seen = undefined) => send(fake.port, recording(name).request, limits, seen),
    posts: (path, body) => send(fake.port, { method: 'POST', path, headers, body: JSON.stringify(body) }),
    demands(name, reply, loose = {}) {
      expect(comparable(reply, store, loose), name).toEqual(expected(name, loose));
    },
    async [Symbol.asyncDispose]() {
      await fake.close();
      rmSync(store, { recursive: true, force: true });
    },
  };
  return it;
}

/** Bytes of a recorded manifest. */
export function manifestBytes(name: string): string {
  return readFileSync(join(RECORDED, 'store/manifests', `${name}.json`), 'utf8');
}

/** Writes a blob of a store. */
export function writeBlobFile(store: string, digest: string, bytes: string | Buffer): void {
  writeFileSync(join(store, 'blobs', `sha256-${digest}`), bytes);
}
