// What a model says. A text is fixed by the weights (and, without a text of its own, by the prompt), so every node says the same,
// and the next word depends on the last one only, so an answer can be continued anywhere.
import { createHash } from 'node:crypto';
import { type Gguf, GgufError, readGguf } from './gguf.ts';
import type { Model } from './models.ts';

/** One message of a conversation. */
export type Message = { readonly role: string; readonly content: string; readonly images: number };

/** A prompt as the model gets it. `echo` is what a native template repeats at the start of the answer. */
export type Rendered = { readonly prompt: string; readonly echo: string; readonly thinking: boolean; readonly images: number };

const WORDS =
  'river stone garden morning window letter candle harbour forest silver bridge winter summer market village mountain island thunder ' +
  'meadow lantern compass feather marble copper velvet orchard shadow mirror blanket kettle hammer needle anchor basket pebble saddle ' +
  'ribbon barrel cottage chimney valley desert ocean pillar temple castle tunnel ladder engine signal anthem puzzle riddle voyage';

/** Answers that end the request with a text of the runner. */
export class RunnerRefusal extends Error {}

/** Renders a conversation. The three ways differ in what a trailing assistant message does. */
export function renderChat(model: Model, messages: readonly Message[], think: boolean | undefined): Rendered {
  const images = messages.reduce((sum, message) => sum + message.images, 0);
  const gguf = header(model);
  if (gguf?.values.get('fake.native') === true) return renderNative(messages, images, gguf, think);
  const all =
    model.system !== '' && messages[0]?.role !== 'system' ? [{ role: 'system', content: model.system, images: 0 }, ...messages] : messages;
  if (model.template.includes('.Response')) return { prompt: renderResponse(model, messages), echo: '', thinking: false, images };
  let image = 0;
  const tag = (count: number) => Array.from({ length: count }, () => `[img-${image++}]`).join('');
  const turns = all.map((m) => `<|im_start|>${m.role}\n${tag(m.images)}${m.content}<|im_end|>\n`).join('');
  return { prompt: `${turns}<|im_start|>assistant\n`, echo: '', thinking: false, images };
}

/** Renders the prompt of /api/generate; `raw` sends it as it is. */
export function renderPrompt(model: Model, ask: { prompt: string; raw: boolean; images: number; think: boolean | undefined }): Rendered {
  if (ask.raw) return { prompt: ask.prompt, echo: '', thinking: false, images: ask.images };
  return renderChat(model, [{ role: 'user', content: ask.prompt, images: ask.images }], ask.think);
}

function renderNative(messages: readonly Message[], images: number, gguf: Gguf, think: boolean | undefined): Rendered {
  const thinks = gguf.values.get('fake.thinking') === true;
  // Some versions of the runner do so.
  const refusesPrefill = gguf.values.get('fake.refuses_prefill') === true;
  const last = messages.at(-1);
  const prefill = last?.role === 'assistant' ? last.content : '';
  if (prefill !== '' && messages.at(-2)?.role === 'assistant')
    throw new RunnerRefusal(runnerError('Cannot have 2 or more assistant messages at the end of the list.'));
  if (prefill !== '' && refusesPrefill && think !== false)
    throw new RunnerRefusal(runnerError('Assistant response prefill is incompatible with enable_thinking.'));
  const turns = messages
    .slice(0, prefill === '' ? undefined : -1)
    .map((m) => `[[${m.role.toUpperCase()}]] ${m.content} [[/${m.role.toUpperCase()}]]`);
  const closed = thinks && (prefill !== '' || think === false) ? '<think></think>' : '';
  return {
    prompt: `${turns.join('')}[[ANSWER]]${closed}${prefill}`,
    echo: prefill,
    thinking: thinks && prefill === '' && think !== false,
    images,
  };
}

function renderResponse(model: Model, messages: readonly Message[]): string {
  const last = messages.at(-1);
  const partial = last?.role === 'assistant' ? last.content : '';
  const prompt = messages.filter((m) => m.role === 'user').at(-1)?.content ?? '';
  return `${model.system === '' ? '' : `${model.system} `}${prompt} ${partial}`;
}

/** The error object of llama-server, as Ollama passes it on. */
export function runnerError(message: string, type = 'invalid_request_error', more: Readonly<Record<string, number>> = {}): string {
  return JSON.stringify({ error: { code: 400, message, type, ...more } });
}

/** The words that follow a prompt, each with its leading space. `endless`: the last word is followed by the one at `loopFrom`. */
export function answerTo(model: Model, rendered: Rendered): { readonly words: readonly string[]; readonly loopFrom: number | null } {
  const gguf = header(model);
  const own = gguf?.values.get('fake.text');
  const text = typeof own === 'string' ? own : made(model);
  const words = tokensOf(text);
  const last =
    rendered.prompt
      .trimEnd()
      .split(/\s+|\]\]|<think><\/think>/)
      .at(-1) ?? '';
  const at = /[\s\]>]$/.test(rendered.prompt.at(-1) ?? ' ') && rendered.echo === '' ? -1 : words.lastIndexOf(` ${last}`);
  const start = at >= 0 ? at + 1 : typeof own === 'string' ? 0 : firstWord(rendered, words.length);
  const loop = gguf?.values.get('fake.loop_from');
  return { words: words.slice(start), loopFrom: typeof loop === 'number' ? loop - start : null };
}

// One token is a word, unless the text itself says where its tokens end (by U+001F).
function tokensOf(text: string): readonly string[] {
  if (text.includes('\x1f')) return text.split('\x1f');
  return text
    .trim()
    .split(/\s+/)
    .map((word) => ` ${word}`);
}

/** Tokens of a prompt: one per character, and two for the start. Only a measure. */
export function countTokens(prompt: string): number {
  return [...prompt].length + 2;
}

/** Token numbers of a text, as the `context` of an answer shows them. Only a measure. */
export function tokenNumbers(prompt: string, words: readonly string[]): readonly number[] {
  const spoken = words.map((word) => 262 + (createHash('sha256').update(word).digest()[0] ?? 0));
  return [259, ...[...Buffer.from(prompt)].map((byte) => byte + 3), ...spoken];
}

function made(model: Model): string {
  const list = WORDS.split(' ');
  let state = createHash('sha256').update(model.weights.slice(-64)).digest();
  const words: string[] = [];
  while (list.length > 0) {
    state = createHash('sha256').update(state).digest();
    words.push(...list.splice(state.readUInt32LE(0) % list.length, 1));
  }
  return `${words.join(' ')}.`;
}

function firstWord(rendered: Rendered, count: number): number {
  const hash = createHash('sha256').update(`${rendered.prompt}\n${rendered.images}`).digest();
  return hash.readUInt32LE(0) % Math.max(1, Math.floor(count / 3));
}

const headers = new Map<string, Gguf | null>();

function header(model: Model): Gguf | null {
  const key = `${model.stored.digest} ${model.weights}`;
  const known = headers.get(key);
  if (known !== undefined) return known;
  const found = readable(model.weights);
  headers.set(key, found);
  return found;
}

function readable(path: string): Gguf | null {
  try {
    return readGguf(path);
  } catch (error) {
    if (error instanceof GgufError || (error instanceof Error && 'code' in error)) return null;
    throw error;
  }
}
