// Performs what the core wants of the local Ollama: one canary token, one load of the hot set, one remedy. A number seen before is no new order.
// The ends come back as evidence. Requests name `num_ctx` exactly as ordered and no `keep_alive` unless a load orders it: so a canary is no reload.
import { execFile } from 'node:child_process';
import { request } from 'undici';
import type { CarePort, Sink } from '../../agent/ports.ts';
import type { RemedyOrder } from '../../core/health/remedy-types.ts';
import type { CanaryOrder, Evidence } from '../../core/health/types.ts';
import type { LoadOrder } from '../../core/hotset/types.ts';
import type { CareWant } from '../../core/io.ts';
import { createOllamaClient } from './client.ts';
import { withVariant } from './heal-cache.ts';
import { type OwnPorts, ownAgent } from './own-ports.ts';
import { findRunners, processStat } from './runners.ts';

/** What it needs to know. Times in ms. */
export type CareOptions = {
  readonly url: string;
  /** The model store: a process is a runner of this Ollama when its weights lie there. */
  readonly store: string;
  /** Restarts Ollama; empty = it cannot be. */
  readonly restartCommand: readonly string[];
  readonly own: OwnPorts;
  readonly sink: Sink;
};

const BODY_MAX = 1_048_576;
const LATE_MS = 500;
const ERROR_MAX = 160;
const RESTART_LIMIT_MS = 100_000;
const UNLOAD_LIMIT_MS = 10_000;
const SHOW_LIMIT_MS = 5000;
const LIST_LIMIT_MS = 1000;
/** A load from a slow disk, within the time of a remedy. */
const HEAL_LIMIT_MS = 50_000;
const CUT = 'an answer that ended without done';
const DENIED = 'does not support generate';
/** 64 x 64 white pixels, PNG: some models refuse, or break at, less than one patch. */
const IMAGE =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAS0lEQVR42u3PMQ0AAAwDoPo33UrYvQQckD4XAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAYHLAMpT0sIcNbcEAAAAAElFTkSuQmCC';

type Reply = { readonly status: number; readonly text: string };

/** Starts idle; `apply` gives orders. */
export function createCare(options: CareOptions): CarePort {
  const base = new URL(options.url).origin;
  const dispatcher = ownAgent({ connections: 4, keepAliveMs: 1000, connectMs: 5000, own: options.own });
  const asking = createOllamaClient(base, { timeoutMs: LIST_LIMIT_MS, own: options.own });
  const blobs = `${options.store.replace(/\/+$/, '')}/blobs`;
  const stop = new AbortController();
  const done = { canary: 0, load: 0, remedy: 0 };

  const tell = (evidence: Evidence): void => {
    if (!stop.signal.aborted) options.sink({ k: 'evidence', evidence });
  };

  async function post(path: string, body: object, limitMs: number): Promise<Reply> {
    const reply = await request(base + path, {
      dispatcher,
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(limitMs)]),
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    let text = '';
    for await (const part of reply.body.setEncoding('utf8')) {
      text += String(part);
      if (text.length > BODY_MAX) break;
    }
    return { status: reply.statusCode, text };
  }

  async function canary(order: CanaryOrder): Promise<void> {
    if (order.runner !== undefined && !(await isStillThere(order, order.runner))) {
      tell({
        k: 'canary',
        seq: order.seq,
        ms: 0,
        result: 'error',
        status: 0,
        error: 'it left memory, or its runner died or stopped: not asked',
      });
      return;
    }
    const start = performance.now();
    const body = {
      model: order.model,
      prompt: 'Hi',
      stream: false,
      options: { num_predict: 1, ...(order.numCtx === null ? {} : { num_ctx: order.numCtx }) },
      ...(order.image ? { images: [IMAGE] } : {}),
    };
    const end = await post('/api/generate', body, order.deadlineMs).catch((error: unknown) => error);
    const ms = performance.now() - start;
    const seen = { k: 'canary', seq: order.seq, ms } as const;
    if (isReply(end)) {
      // A stream that a repeated token or a broken runner cuts short ends well-formed: only `done` tells.
      const cut = end.status === 200 && !/"done"\s*:\s*true/.test(end.text);
      const ok = end.status === 200 && !cut;
      const poisoned = !ok && (await isPoisoned(order.model, end));
      tell({ ...seen, result: ok ? 'ok' : 'error', status: end.status, error: ok ? '' : cut ? CUT : errorIn(end.text), poisoned });
      return;
    }
    // A connection that broke is no silence: the server died, and that is seen elsewhere.
    // So is a wait that this process overslept: the answer may be there and unread.
    const silent = ms >= order.deadlineMs - 1 && ms < order.deadlineMs + LATE_MS;
    tell({ ...seen, result: silent ? 'silent' : 'error', status: 0, error: silent ? '' : textOf(end) });
  }

  // The order rests on looks that may be seconds old. A question to what has left memory since would load it (H4).
  async function isStillThere({ model, numCtx }: CanaryOrder, runner: NonNullable<CanaryOrder['runner']>): Promise<boolean> {
    const list = await asking.ps(stop.signal);
    const row = list.k === 'answer' ? list.value?.find((m) => m.name === model) : undefined;
    if (row === undefined || row.contextLength !== numCtx) return false;
    const stat = processStat(runner.pid);
    return stat !== null && stat.startedAt === runner.startedAt && stat.state !== 'Z' && stat.state !== 'T';
  }

  // Ollama's cache denies it, and the file itself, which /api/show reads, says otherwise: that contradiction is the proof.
  async function isPoisoned(model: string, { status, text }: Reply): Promise<boolean> {
    if (status !== 400 || !text.includes(DENIED)) return false;
    // An option keeps /api/show from its own cache.
    const shown = await post('/api/show', { model, options: { num_predict: 1 } }, SHOW_LIMIT_MS).catch(() => null);
    return shown?.status === 200 && /"capabilities"\s*:\s*\[[^\]]*"completion"/.test(shown.text);
  }

  async function load(order: LoadOrder): Promise<void> {
    const start = performance.now();
    tell({ k: 'load', model: order.model, state: 'started', ms: 0, error: '' });
    const body = {
      model: order.model,
      keep_alive: order.keepAliveS ?? -1,
      ...(order.numCtx === null ? {} : { options: { num_ctx: order.numCtx } }),
    };
    let end = await post('/api/generate', body, order.patienceMs).catch((error: unknown) => error);
    const poisoned = isReply(end) && (await isPoisoned(order.model, end));
    // An embedding model is loaded by its own call.
    if (isReply(end) && end.status === 400 && !poisoned)
      end = await post('/api/embed', { ...body, input: [] }, order.patienceMs).catch((error: unknown) => error);
    const ok = isReply(end) && end.status === 200;
    const error = ok ? '' : isReply(end) ? `${end.status} ${errorIn(end.text)}` : textOf(end);
    tell({ k: 'load', model: order.model, state: ok ? 'done' : 'failed', ms: performance.now() - start, error, poisoned });
  }

  async function remedy(order: RemedyOrder): Promise<void> {
    const text = await cure(order).catch((error: unknown) => `failed: ${textOf(error)}`);
    tell({ k: 'remedied', id: order.id, ok: !text.startsWith('failed'), text: `remedy ${order.k}: ${text}` });
  }

  async function cure(order: RemedyOrder): Promise<string> {
    switch (order.k) {
      case 'unloadBlocker': {
        const reply = await post('/api/generate', { model: order.model, keep_alive: 0 }, UNLOAD_LIMIT_MS);
        return reply.status === 200 ? `${order.model} is told to leave memory` : `failed: ${reply.status} ${errorIn(reply.text)}`;
      }
      case 'killRunner': {
        // Pids are used again: only the very process that was judged, and only while it is a runner of this store.
        const runner = (await findRunners(blobs)).find((r) => r.pid === order.pid && r.startedAt === order.startedAt);
        if (runner === undefined) return `failed: pid ${order.pid} is no runner of this Ollama any more`;
        if (runner.parent <= 1) return `failed: pid ${order.pid} has no Ollama as its parent`;
        process.kill(order.pid, 'SIGKILL');
        return `runner ${order.pid} is killed; Ollama starts another with the next request`;
      }
      case 'healCache': {
        const body = { model: order.model, prompt: 'Hi', stream: false, options: { num_predict: 1 } };
        const now = await post('/api/generate', body, HEAL_LIMIT_MS);
        if (!(await isPoisoned(order.model, now))) return `${order.model} is not denied any more`;
        const reply = await withVariant(options.store, order.model, () => post('/api/generate', body, HEAL_LIMIT_MS));
        return reply.status === 200 ? `${order.model} was read anew` : `failed: ${reply.status} ${errorIn(reply.text)}`;
      }
      case 'restartOllama':
        return restart(options.restartCommand);
    }
  }

  return {
    apply(want: CareWant) {
      if (want.canary !== null && want.canary.seq > done.canary) {
        done.canary = want.canary.seq;
        void canary(want.canary);
      }
      if (want.load !== null && want.load.seq > done.load) {
        done.load = want.load.seq;
        void load(want.load);
      }
      if (want.remedy !== null && want.remedy.id > done.remedy) {
        done.remedy = want.remedy.id;
        void remedy(want.remedy);
      }
    },
    async close() {
      stop.abort();
      await Promise.all([dispatcher.destroy(), asking.close()]);
    },
  };
}

function restart(argv: readonly string[]): Promise<string> {
  const [program, ...args] = argv;
  if (program === undefined) return Promise.resolve('failed: health.remedies.restartCommand is empty');
  return new Promise((resolve) => {
    execFile(program, args, { timeout: RESTART_LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: 65_536 }, (error, _out, err) => {
      const said = err.split('\n')[0] ?? '';
      resolve(
        error === null
          ? `${argv.join(' ')} is done`
          : `failed: ${said === '' ? error.message.slice(0, ERROR_MAX) : said.slice(0, ERROR_MAX)}`,
      );
    });
  });
}

function isReply(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null && 'status' in value && 'text' in value;
}

function errorIn(body: string): string {
  const found = /"error"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? body;
  return found.slice(0, ERROR_MAX);
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (code === '' ? error.message : code).slice(0, ERROR_MAX);
}
