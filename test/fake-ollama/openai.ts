// The /v1 routes: models, chat completions and completions.
import { renderChat, renderPrompt } from './answers.ts';
import { listModels } from './disk.ts';
import { goJson, goJsonError } from './go.ts';
import { bodyOf, type Exchange, reply, stream, TYPE } from './http.ts';
import { type Event, generate } from './inference.ts';
import { parseName, shortName } from './names.ts';
import type { Inference } from './native.ts';
import { findModel, imagesOf } from './request.ts';
import { type ToolCall, toolCallFor } from './tools.ts';

const KIND: Record<number, string> = { 400: 'invalid_request_error', 404: 'not_found_error' };

/** GET /v1/models. */
export function listV1(x: Exchange, store: string): void {
  const rows = [...listModels(store).models]
    .sort((a, b) => Number(b.modifiedNs / 1_000_000_000n - a.modifiedNs / 1_000_000_000n))
    .map((stored) => row(shortName(stored.name), stored.modifiedNs));
  reply(x, 200, TYPE.json, `${goJson({ object: 'list', data: rows.length === 0 ? null : rows })}\n`);
}

/** GET /v1/models/NAME. */
export function oneV1(x: Exchange, store: string, asked: string): void {
  const found = findModel(store, asked);
  const name = parseName(asked);
  if ('stored' in found) reply(x, 200, TYPE.json, `${goJson(row(asked, found.stored.modifiedNs))}\n`);
  else refuseV1(x, 404, `model '${name === null ? asked : shortName(name)}' not found`);
}

function row(id: string, modifiedNs: bigint): Record<string, unknown> {
  return { id, object: 'model', created: Number(modifiedNs / 1_000_000_000n), owned_by: 'library' };
}

/** An error in the form of OpenAI; complaints about the request itself come from gin and have no line feed. */
export function refuseV1(x: Exchange, status: number, message: string, gin = false): void {
  reply(x, status, gin ? TYPE.gin : TYPE.json, errorV1(status, message) + (gin ? '' : '\n'));
}

function errorV1(status: number, message: string): string {
  return goJson({ error: { message, type: KIND[status] ?? 'api_error', param: null, code: null } });
}

type Shape = { readonly chat: boolean; readonly id: string; readonly model: string; readonly created: number };

/** POST /v1/chat/completions and /v1/completions. */
export async function completeV1(x: Exchange, engine: Inference, chat: boolean): Promise<void> {
  const text = await bodyOf(x);
  const broken = goJsonError(text);
  if (broken !== '') return refuseV1(x, 400, broken, true);
  const fields = new Map<string, unknown>(Object.entries(JSON.parse(text)));
  const messages = chat ? messagesOf(fields.get('messages')) : [];
  if (chat && messages.length === 0) return refuseV1(x, 400, "[] is too short - 'messages'", true);
  const images = imagesOf(messages.flatMap((message) => message.pictures));
  if (typeof images === 'string') return refuseV1(x, 400, images, true);
  const asked = String(fields.get('model') ?? '');
  const found = findModel(engine.options.store, asked);
  if (!('stored' in found)) return refuseV1(x, 404, `model '${asked}' not found`);
  const model = engine.models.get(found.stored);
  if (model === null) return refuseV1(x, 404, `model '${asked}' not found`);
  if ('status' in model) return refuseV1(x, model.status, model.text);
  const rendered = chat
    ? renderChat(
        model,
        messages.map((m) => ({ ...m, images: m.pictures.length })),
        undefined,
      )
    : renderPrompt(model, { prompt: String(fields.get('prompt') ?? ''), raw: false, images: 0, think: undefined });
  const limit = fields.get('max_tokens') ?? fields.get('max_completion_tokens');
  const events = generate(engine, {
    model,
    asked,
    rendered,
    badImages: images.bad,
    raw: true,
    numPredict: typeof limit === 'number' ? limit : undefined,
    numCtx: undefined,
    runnerOptions: '',
    keepAliveMs: undefined,
    badFormat: null,
    tool: chat ? toolCallFor(fields.get('tools'), messages.at(-1)?.role ?? '') : null,
    signal: x.signal,
  });
  const id = `${chat ? 'chatcmpl' : 'cmpl'}-${100 + Math.floor(performance.now() % 900)}`;
  const shape = { chat, id, model: asked, created: Math.floor(Date.now() / 1000) };
  if (fields.get('stream') === true) await streamed(x, shape, events, JSON.stringify(fields.get('stream_options') ?? '').includes('true'));
  else await whole(x, shape, events);
}

function messagesOf(value: unknown): { role: string; content: string; pictures: string[] }[] {
  return (Array.isArray(value) ? value : []).map((message) => {
    const parts: { type?: string; text?: string; image_url?: { url?: string } }[] = Array.isArray(message?.content) ? message.content : [];
    const content = parts.length > 0 ? parts.map((part) => part.text ?? '').join('') : String(message?.content ?? '');
    const pictures = parts.flatMap((part) => part.image_url?.url?.replace(/^data:[^,]*,/, '') ?? []);
    return { role: String(message?.role ?? ''), content, pictures };
  });
}

async function streamed(x: Exchange, shape: Shape, events: AsyncGenerator<Event>, usage: boolean): Promise<void> {
  let out: ReturnType<typeof stream> | null = null;
  let first = true;
  let called = false;
  for await (const event of events) {
    if (event.k === 'refused') return refuseV1(x, event.status, event.text);
    if (event.k === 'cut') return void x.res.destroy();
    if (event.k === 'failed' && first) {
      const fail = stream(x, event.status, TYPE.json);
      fail.send(`${errorV1(event.status, event.text)}\n`);
      return fail.end();
    }
    out ??= stream(x, 200, TYPE.sse);
    // A failure inside the stream is swallowed: an empty delta without a model, and no end mark.
    if (event.k === 'failed') out.send(chunk({ ...shape, model: '' }, { content: '' }, null));
    else if (event.k === 'token')
      out.send(chunk(shape, first ? { role: 'assistant', content: event.text } : { content: event.text }, null));
    else if (event.k === 'tool') out.send(chunk(shape, { role: 'assistant', tool_calls: calls(event.call) }, null));
    else if (event.k === 'done')
      out.send(`${chunk(shape, {}, called ? 'tool_calls' : event.reason)}${usage ? usageLine(shape, event) : ''}data: [DONE]\n\n`);
    called ||= event.k === 'tool';
    first = false;
  }
  if (!x.signal.aborted) (out ?? stream(x, 200, TYPE.sse)).end();
}

function chunk(shape: Shape, delta: Readonly<Record<string, unknown>>, finish: string | null): string {
  const choice = shape.chat ? { index: 0, delta, finish_reason: finish } : { text: delta.content ?? '', index: 0, finish_reason: finish };
  return `data: ${goJson({ ...base(shape, true), choices: [choice] })}\n\n`;
}

function calls({ name, args }: ToolCall): readonly unknown[] {
  return [{ id: 'call_ab12cd34', index: 0, type: 'function', function: { name, arguments: JSON.stringify(args) } }];
}

function usageLine(shape: Shape, event: Extract<Event, { k: 'done' }>): string {
  return `data: ${goJson({ ...base(shape, true), choices: [], usage: usageOf(event) })}\n\n`;
}

function base(shape: Shape, streaming: boolean): Record<string, unknown> {
  const object = shape.chat ? `chat.completion${streaming ? '.chunk' : ''}` : 'text_completion';
  return { id: shape.id, object, created: shape.created, model: shape.model, system_fingerprint: 'fp_ollama' };
}

function usageOf(event: Extract<Event, { k: 'done' }>): Record<string, number> {
  const { prompt_eval_count, eval_count } = event.metrics;
  return { prompt_tokens: prompt_eval_count, completion_tokens: eval_count, total_tokens: prompt_eval_count + eval_count };
}

async function whole(x: Exchange, shape: Shape, events: AsyncGenerator<Event>): Promise<void> {
  let text = '';
  let tool: ToolCall | null = null;
  for await (const event of events) {
    if (event.k === 'refused' || event.k === 'failed') return refuseV1(x, event.status, event.text);
    if (event.k === 'cut') return void x.res.destroy();
    if (event.k === 'token') text += event.text;
    if (event.k === 'tool') tool = event.call;
    if (event.k !== 'done') continue;
    const message = { role: 'assistant', content: text, ...(tool === null ? {} : { tool_calls: calls(tool) }) };
    const said = shape.chat ? { index: 0, message } : { text, index: 0 };
    const body = {
      ...base(shape, false),
      choices: [{ ...said, finish_reason: tool === null ? event.reason : 'tool_calls' }],
      usage: usageOf(event),
    };
    return reply(x, 200, TYPE.json, `${goJson(body)}\n`);
  }
}
