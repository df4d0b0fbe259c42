// One generation, from the wish to its events; the routes only dress them.
import { answerTo, countTokens, type Rendered, runnerError, tokenNumbers } from './answers.ts';
import { tokensFrom } from './child.ts';
import type { Faults } from './faults.ts';
import type { Model } from './models.ts';
import type { FakeOptions } from './options.ts';
import { Refused, type Runner, type Scheduler } from './scheduler.ts';
import type { ToolCall } from './tools.ts';

/** What to generate. */
export type Generation = {
  readonly model: Model;
  /** The name as the request spells it. */
  readonly asked: string;
  readonly rendered: Rendered;
  /** Valid images of the request that are no picture. */
  readonly badImages: number;
  readonly raw: boolean;
  readonly numPredict: number | undefined;
  readonly numCtx: number | undefined;
  readonly runnerOptions: string;
  readonly keepAliveMs: number | undefined;
  /** Set when `format` cannot be used. */
  readonly badFormat: string | null;
  /** What it calls instead of speaking; null = nothing. */
  readonly tool: ToolCall | null;
  readonly signal: AbortSignal;
};

/** The figures of the last line. Durations in ns. */
export type Metrics = {
  readonly total_duration: number;
  readonly load_duration: number;
  readonly prompt_eval_count: number;
  readonly prompt_eval_duration: number;
  readonly eval_count: number;
  readonly eval_duration: number;
};

/** What happens. `refused` before a runner was there is plain JSON, `failed` came from the runner and follows the form of the stream. */
export type Event =
  | { readonly k: 'token'; readonly text: string; readonly thinking: boolean }
  | { readonly k: 'tool'; readonly call: ToolCall }
  | { readonly k: 'done'; readonly reason: 'stop' | 'length'; readonly context: readonly number[] | null; readonly metrics: Metrics }
  | { readonly k: 'refused'; readonly status: number; readonly text: string }
  | { readonly k: 'failed'; readonly status: number; readonly text: string }
  | { readonly k: 'cut' }
  | { readonly k: 'silent' };

/** What a generation needs of the server. */
export type Engine = {
  readonly options: FakeOptions;
  readonly scheduler: Scheduler;
  readonly faults: () => Faults;
  /** Takes one of the limited uses of a token fault; false when they are used up. */
  readonly useFault: () => boolean;
};

/** The text of a runner that died. */
const DIED = 'an error was encountered while running the model: unexpected EOF';
/** The text of a device whose memory did not suffice. */
const OUT_OF_MEMORY = 'an error was encountered while running the model: CUDA error: out of memory';
const BLIND: Event = { k: 'failed', status: 500, text: 'an error was encountered while running the model: failed to process image' };
const REPEAT_LIMIT = 30;

/** Runs one generation. Ends after `done`, `refused`, `failed` or `cut`; without them the stream just ends. */
export async function* generate(engine: Engine, ask: Generation): AsyncGenerator<Event> {
  const startNs = process.hrtime.bigint();
  let runner: Runner;
  try {
    runner = await engine.scheduler.acquire(ask);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    yield { k: 'refused', status: error.status, text: error.message };
    return;
  }
  try {
    const loadNs = process.hrtime.bigint();
    const blind = ask.rendered.images > 0 && engine.faults().brokenVision;
    const refusal = blind ? BLIND : runnerRefusal(ask, runner);
    if (refusal !== null) {
      yield refusal;
      return;
    }
    const free = await engine.scheduler.slot(runner, ask.signal);
    try {
      if (!ask.signal.aborted) yield* speak(engine, ask, runner, startNs, loadNs);
    } finally {
      free();
    }
  } finally {
    engine.scheduler.release(runner);
  }
}

function runnerRefusal(ask: Generation, runner: Runner): Event | null {
  if (ask.badFormat !== null) return { k: 'failed', status: 500, text: ask.badFormat };
  const failed = (text: string): Event => ({ k: 'failed', status: 400, text });
  if (ask.rendered.images > 0 && ask.model.projectors.length === 0)
    return failed(runnerError('Multimodal data provided, but model does not support multimodal requests.'));
  if (ask.badImages > 0) return failed(runnerError('Failed to load image or audio file'));
  const tokens = countTokens(ask.rendered.prompt);
  if (tokens <= runner.numCtx) return null;
  const text = `request (${tokens} tokens) exceeds the available context size (${runner.numCtx} tokens), try increasing it`;
  return failed(runnerError(text, 'exceed_context_size_error', { n_prompt_tokens: tokens, n_ctx: runner.numCtx }));
}

async function* speak(engine: Engine, ask: Generation, runner: Runner, startNs: bigint, loadNs: bigint): AsyncGenerator<Event> {
  const { words, loopFrom } = answerTo(ask.model, ask.rendered);
  const limit = ask.numPredict !== undefined && ask.numPredict >= 0 ? ask.numPredict : loopFrom === null ? words.length + 1 : 100_000;
  const said: string[] = [];
  const faults = engine.faults();
  const evalNs = process.hrtime.bigint();
  const tokens = tokensFrom(runner.child, {
    tokens: loopFrom === null ? Math.min(limit, words.length + 1) : limit,
    firstMs: (faults.firstTokenMs ?? engine.options.firstTokenMs) * runner.slowness,
    gapMs: (faults.tokenMs ?? engine.options.tokenMs) * runner.slowness,
    stallAfter: faults.runnerStallAfterTokens !== null && engine.useFault() ? faults.runnerStallAfterTokens : null,
    signal: ask.signal,
  });
  let firstNs = evalNs;
  let repeats = 0;
  for (let step = await tokens.next(); ; step = await tokens.next()) {
    if (ask.signal.aborted) return;
    const broken = breakAt(engine, said.length);
    if (broken !== null) {
      yield* obey(broken, engine, runner, ask.signal);
      await tokens.return(false);
      return;
    }
    if (step.done === true) {
      if (!step.value) yield { k: 'failed', status: 500, text: DIED };
      else yield done(ask, said, 'length', { startNs, loadNs, evalNs, firstNs });
      return;
    }
    if (said.length === 0) firstNs = process.hrtime.bigint();
    if (ask.tool !== null) {
      yield { k: 'tool', call: ask.tool };
      await tokens.return(true);
      yield done(ask, [''], 'stop', { startNs, loadNs, evalNs, firstNs });
      return;
    }
    const word = wordAt(words, loopFrom, said.length);
    if (word === null) {
      await tokens.return(true);
      yield done(ask, [...said, ''], 'stop', { startNs, loadNs, evalNs, firstNs });
      return;
    }
    repeats = word === said.at(-1) ? repeats + 1 : 0;
    if (repeats > REPEAT_LIMIT) {
      await tokens.return(false);
      return;
    }
    yield { k: 'token', text: (said.length === 0 ? ask.rendered.echo : '') + word, thinking: ask.rendered.thinking };
    said.push(word);
  }
}

/** The word after `index` words; null = the model has nothing more to say. */
function wordAt(words: readonly string[], loopFrom: number | null, index: number): string | null {
  const direct = words[index];
  if (direct !== undefined) return direct;
  const from = Math.max(0, loopFrom ?? 0);
  return loopFrom === null ? null : (words[from + ((index - from) % (words.length - from))] ?? null);
}

type Break = 'fail' | 'stall' | 'cut' | 'silent' | 'crash' | 'oom';

function breakAt(engine: Engine, said: number): Break | null {
  const faults = engine.faults();
  const due: readonly (readonly [Break, number | null])[] = [
    ['fail', faults.failAfterTokens],
    ['stall', faults.stallAfterTokens],
    ['cut', faults.cutAfterTokens],
    ['silent', faults.silentEndAfterTokens],
    ['crash', faults.crashAfterTokens],
    ['oom', faults.oomAfterTokens],
  ];
  const hit = due.find(([, after]) => after !== null && said >= after);
  return hit !== undefined && engine.useFault() ? hit[0] : null;
}

async function* obey(fault: Break, engine: Engine, runner: Runner, signal: AbortSignal): AsyncGenerator<Event> {
  if (fault === 'crash') {
    runner.child.kill();
    await runner.child.exited;
  }
  if (fault === 'oom') engine.scheduler.expireAll();
  if (fault === 'oom') yield { k: 'failed', status: 500, text: OUT_OF_MEMORY };
  else if (fault === 'fail' || fault === 'crash') yield { k: 'failed', status: 500, text: DIED };
  else if (fault === 'cut') yield { k: 'cut' };
  else if (fault === 'stall' && !signal.aborted)
    await new Promise<void>((settle) => signal.addEventListener('abort', () => settle(), { once: true }));
  else yield { k: 'silent' };
}

function done(
  ask: Generation,
  said: readonly string[],
  reason: 'stop' | 'length',
  at: { startNs: bigint; loadNs: bigint; evalNs: bigint; firstNs: bigint },
): Event {
  const endNs = process.hrtime.bigint();
  return {
    k: 'done',
    reason,
    context: ask.raw ? null : tokenNumbers(ask.rendered.prompt, said),
    metrics: {
      total_duration: Number(endNs - at.startNs),
      load_duration: Number(at.loadNs - at.startNs),
      prompt_eval_count: countTokens(ask.rendered.prompt),
      prompt_eval_duration: Number(at.firstNs - at.evalNs),
      eval_count: said.length,
      eval_duration: Math.max(1000, Number(endNs - at.firstNs)),
    },
  };
}
