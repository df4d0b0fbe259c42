// POST /api/embed, /api/embeddings and /v1/embeddings. Every text has one direction: the last of the model's dimensions.
import { countTokens } from './answers.ts';
import { tokensFrom } from './child.ts';
import { goJson, goJsonError } from './go.ts';
import { bodyOf, type Exchange, json, refuse, reply, TYPE } from './http.ts';
import { embeddingLength, type Model, weightsHeader } from './models.ts';
import type { Inference } from './native.ts';
import { refuseV1 } from './openai.ts';
import { keepAliveOf } from './options.ts';
import { type Fields, fieldsOf, findModel, optionsOf, textOf } from './request.ts';
import { Refused, type Runner } from './scheduler.ts';

type Embedded = {
  readonly vectors: readonly (readonly number[])[];
  readonly tokens: number;
  readonly totalNs: number;
  readonly loadNs: number;
};

const NOT_STARTED = 'This server does not support embeddings. Start it with `--embeddings`';
const TOO_LONG = 'the input length exceeds the context length';

/** POST /api/embed. */
export async function serveEmbed(x: Exchange, engine: Inference): Promise<void> {
  const fields = await fieldsOf(x, 'EmbedRequest', { model: 'string', truncate: 'bool' });
  if (fields === null) return;
  const done = await embedOrRefusal(x, engine, fields, fields.input);
  if (done instanceof Refused) return refuse(x, done.status, done.message);
  const figures = { total_duration: done.totalNs, load_duration: done.loadNs, prompt_eval_count: done.tokens };
  json(x, 200, { model: textOf(fields, 'model'), embeddings: done.vectors, ...(done.vectors.length === 0 ? {} : figures) });
}

/** POST /api/embeddings, the older form: one text, and every failure of the runner is a 500. */
export async function serveEmbeddings(x: Exchange, engine: Inference): Promise<void> {
  const fields = await fieldsOf(x, 'EmbeddingRequest', { model: 'string', prompt: 'string' });
  if (fields === null) return;
  const done = await embedOrRefusal(x, engine, fields, textOf(fields, 'prompt'));
  if (done instanceof Refused) return refuse(x, done.status === 404 ? 404 : 500, done.message);
  json(x, 200, { embedding: done.vectors[0] ?? [] });
}

/** POST /v1/embeddings. */
export async function embedV1(x: Exchange, engine: Inference): Promise<void> {
  const text = await bodyOf(x);
  const broken = goJsonError(text);
  if (broken !== '') return refuseV1(x, 400, broken, true);
  const fields: Fields = Object.fromEntries(Object.entries(JSON.parse(text)));
  if (textsOf(fields.input).length === 0) return refuseV1(x, 400, 'invalid input', true);
  const done = await embedOrRefusal(x, engine, fields, fields.input);
  if (done instanceof Refused) return refuseV1(x, done.status, done.message);
  const base64 = fields.encoding_format === 'base64';
  const data = done.vectors.map((vector, index) => ({ object: 'embedding', embedding: base64 ? packed(vector) : vector, index }));
  const usage = { prompt_tokens: done.tokens, total_tokens: done.tokens };
  reply(x, 200, TYPE.json, `${goJson({ object: 'list', data, model: textOf(fields, 'model'), usage })}\n`);
}

function packed(vector: readonly number[]): string {
  return Buffer.from(new Float32Array(vector).buffer).toString('base64');
}

function textsOf(input: unknown): readonly string[] {
  if (typeof input === 'string') return input === '' ? [] : [input];
  return Array.isArray(input) ? input.map(String) : [];
}

async function embedOrRefusal(x: Exchange, engine: Inference, fields: Fields, input: unknown): Promise<Embedded | Refused> {
  try {
    return await embed(x, engine, fields, textsOf(input));
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}

async function embed(x: Exchange, engine: Inference, fields: Fields, texts: readonly string[]): Promise<Embedded> {
  const asked = textOf(fields, 'model');
  const model = modelOf(engine, asked);
  // It reads the weights anew for every request, so a loaded model whose file is gone fails here.
  const loaded = engine.scheduler.loaded().some((runner) => runner.key === model.weights);
  if (loaded && weightsHeader(model.weights) === 'absent') throw new Refused(500, `open ${model.weights}: no such file or directory`);
  const options = optionsOf(fields.options);
  if (typeof options === 'string') throw new Refused(500, options);
  const startNs = process.hrtime.bigint();
  const want = { model, asked, ...options, keepAliveMs: keepAliveOf(fields.keep_alive), signal: x.signal };
  const runner = await engine.scheduler.acquire(want);
  try {
    const loadNs = Number(process.hrtime.bigint() - startNs);
    if (texts.length === 0) return { vectors: [], tokens: 0, totalNs: loadNs, loadNs };
    if (!model.capabilities.includes('embedding')) throw new Refused(501, NOT_STARTED);
    const tokens = texts.map((text) => countTokens(text));
    if (fields.truncate === false && tokens.some((count) => count > runner.numCtx)) throw new Refused(400, TOO_LONG);
    await run(x, engine, runner, texts.length);
    const vectors = texts.map(() => vectorOf(model));
    const total = tokens.reduce((sum, count) => sum + Math.min(count, runner.numCtx), 0);
    return { vectors, tokens: total, totalNs: Number(process.hrtime.bigint() - startNs), loadNs };
  } finally {
    engine.scheduler.release(runner);
  }
}

// The runner works on it as on one token per text, so that killing and stopping it are real.
async function run(x: Exchange, engine: Inference, runner: Runner, texts: number): Promise<void> {
  const free = await engine.scheduler.slot(runner, x.signal);
  try {
    const faults = engine.faults();
    if (faults.crashAfterTokens !== null && engine.useFault()) runner.child.kill();
    const firstMs = (faults.firstTokenMs ?? engine.options.firstTokenMs) * runner.slowness;
    const tokens = tokensFrom(runner.child, { tokens: texts, firstMs, gapMs: 0, stallAfter: null, signal: x.signal });
    for (;;) {
      const step = await tokens.next();
      if (step.done !== true) continue;
      if (!step.value) throw new Refused(400, `do embedding request: Post "http://127.0.0.1:${runner.child.port}/v1/embeddings": EOF`);
      return;
    }
  } finally {
    free();
  }
}

function modelOf(engine: Inference, asked: string): Model {
  const found = findModel(engine.options.store, asked);
  if ('broken' in found) throw new Refused(500, found.broken);
  if (asked === '') throw new Refused(404, "model '' not found");
  const model = 'stored' in found ? engine.models.get(found.stored) : null;
  if (model === null) throw new Refused(404, `model "${asked}" not found, try pulling it first`);
  if ('status' in model) throw new Refused(model.status, model.text);
  return model;
}

function vectorOf(model: Model): readonly number[] {
  const length = embeddingLength(model.weights);
  return Array.from({ length }, (_, i) => (i === length - 1 ? 1 : 0));
}
