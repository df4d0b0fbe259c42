// POST /v1/messages, the form of Anthropic, without streaming.
import { randomBytes } from 'node:crypto';
import { renderChat } from './answers.ts';
import { goJson, goJsonError } from './go.ts';
import { bodyOf, type Exchange, reply, TYPE } from './http.ts';
import { generate } from './inference.ts';
import type { Inference } from './native.ts';
import { findModel } from './request.ts';

const KIND: Record<number, string> = { 400: 'invalid_request_error', 404: 'not_found_error', 503: 'overloaded_error' };

function refuse(x: Exchange, status: number, message: string, gin = false): void {
  const body = goJson({ type: 'error', error: { type: KIND[status] ?? 'api_error', message }, request_id: `req_${id()}` });
  reply(x, status, gin ? TYPE.gin : TYPE.json, gin ? body : `${body}\n`);
}

function id(): string {
  return randomBytes(12).toString('hex');
}

/** Serves one request. */
export async function serveMessages(x: Exchange, engine: Inference): Promise<void> {
  const text = await bodyOf(x);
  const broken = goJsonError(text);
  if (broken !== '') return refuse(x, 400, broken, true);
  const fields = new Map<string, unknown>(Object.entries(JSON.parse(text)));
  const asked = String(fields.get('model') ?? '');
  if (asked === '') return refuse(x, 400, 'model is required', true);
  const limit = fields.get('max_tokens');
  if (typeof limit !== 'number' || limit <= 0) return refuse(x, 400, 'max_tokens is required and must be positive', true);
  const messages = messagesOf(fields.get('messages'));
  if (messages.length === 0) return refuse(x, 400, 'messages is required', true);
  const found = findModel(engine.options.store, asked);
  const model = 'stored' in found ? engine.models.get(found.stored) : null;
  if (model === null) return refuse(x, 404, `model '${asked}' not found`);
  if ('status' in model) return refuse(x, model.status, model.text);
  const events = generate(engine, {
    model,
    asked,
    rendered: renderChat(model, messages, undefined),
    badImages: 0,
    raw: true,
    numPredict: limit,
    numCtx: undefined,
    runnerOptions: '',
    keepAliveMs: undefined,
    badFormat: null,
    tool: null,
    signal: x.signal,
  });
  let said = '';
  for await (const event of events) {
    if (event.k === 'refused' || event.k === 'failed') return refuse(x, event.status, event.text);
    if (event.k === 'cut') return void x.res.destroy();
    if (event.k === 'token') said += event.text;
    if (event.k !== 'done') continue;
    const { prompt_eval_count, eval_count } = event.metrics;
    const head = { id: `msg_${id()}`, type: 'message', role: 'assistant', model: asked, content: [{ type: 'text', text: said }] };
    const usage = { input_tokens: prompt_eval_count, output_tokens: eval_count };
    return reply(x, 200, TYPE.json, `${goJson({ ...head, stop_reason: event.reason === 'length' ? 'max_tokens' : 'end_turn', usage })}\n`);
  }
}

function messagesOf(value: unknown): { role: string; content: string; images: number }[] {
  return (Array.isArray(value) ? value : []).map((message) => {
    const parts: { text?: string }[] = Array.isArray(message?.content) ? message.content : [{ text: String(message?.content ?? '') }];
    return { role: String(message?.role ?? ''), content: parts.map((part) => part.text ?? '').join(''), images: 0 };
  });
}
