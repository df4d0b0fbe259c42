// POST /api/generate and /api/chat.
import { type Message, type Rendered, RunnerRefusal, renderChat, renderPrompt } from './answers.ts';
import { goTime, nowNs } from './go.ts';
import { type Exchange, json, ndjson, refuse } from './http.ts';
import { type Engine, type Event, generate } from './inference.ts';
import type { Model, Models } from './models.ts';
import { fullName } from './names.ts';
import { keepAliveOf } from './options.ts';
import { type AskedOptions, badFormat, type Fields, fieldsOf, findModel, imagesOf, optionsOf, textOf } from './request.ts';
import { Refused } from './scheduler.ts';
import { type ToolCall, toolCallFor } from './tools.ts';

/** What the inference routes need. */
export type Inference = Engine & { readonly models: Models };

type Route = 'generate' | 'chat';
type Plan = {
  readonly fields: Fields;
  readonly asked: string;
  readonly model: Model;
  readonly messages: readonly Message[];
  readonly badImages: number;
};

const KINDS = {
  generate: {
    model: 'string',
    prompt: 'string',
    suffix: 'string',
    system: 'string',
    template: 'string',
    stream: 'bool',
    raw: 'bool',
    images: 'array',
  },
  chat: { model: 'string', messages: 'array', stream: 'bool', tools: 'array' },
} as const;

/** Serves one request of either route. */
export async function serveInference(x: Exchange, engine: Inference, route: Route): Promise<void> {
  const fields = await fieldsOf(x, route === 'generate' ? 'GenerateRequest' : 'ChatRequest', KINDS[route]);
  if (fields === null) return;
  const plan = planOf(x, engine, route, fields);
  if (plan === null) return;
  if (isEmpty(route, fields)) await loadOrUnload(x, engine, route, plan);
  else await answer(x, engine, route, plan);
}

function isEmpty(route: Route, fields: Fields): boolean {
  if (route === 'chat') return !Array.isArray(fields.messages) || fields.messages.length === 0;
  return textOf(fields, 'prompt') === '' && textOf(fields, 'suffix') === '';
}

// All checks that need no runner, in the order in which the real server makes them.
function planOf(x: Exchange, engine: Inference, route: Route, fields: Fields): Plan | null {
  const asked = textOf(fields, 'model');
  const given =
    route === 'generate' ? [{ role: 'user', content: textOf(fields, 'prompt'), images: fields.images }] : messagesOf(fields.messages);
  const images = imagesOf(given.flatMap((message) => (Array.isArray(message.images) ? message.images : [])));
  if (typeof images === 'string') return no(x, 400, images);
  if (/[:-]cloud$/.test(asked)) return no(x, 403, 'ollama cloud is disabled: remote model is unavailable');
  const found = findModel(engine.options.store, asked);
  if ('problem' in found) return absent(x, route, asked, found.problem);
  if ('broken' in found) return no(x, 500, found.broken);
  const model = engine.models.get(found.stored);
  if (model === null) return no(x, 404, `model '${asked}' not found`);
  if ('status' in model) return no(x, model.status, model.text);
  const refusal = incapable(route, asked, fields, model);
  if (refusal !== null) return no(x, 400, refusal);
  const messages = given.map((m) => ({ role: m.role, content: m.content, images: Array.isArray(m.images) ? m.images.length : 0 }));
  return { fields, asked, model, messages, badImages: images.bad };
}

function absent(x: Exchange, route: Route, asked: string, problem: 'invalid' | 'missing' | 'tree'): null {
  if (route === 'chat' && (asked === '' || problem !== 'missing')) return no(x, 400, 'model is required');
  return problem === 'invalid' ? no(x, 400, 'invalid model name') : no(x, 404, `model '${asked}' not found`);
}

function no(x: Exchange, status: number, text: string): null {
  refuse(x, status, text);
  return null;
}

function incapable(route: Route, asked: string, fields: Fields, model: Model): string | null {
  const can = (what: string) => model.capabilities.includes(what);
  const extra = ['system', 'template'].some((key) => textOf(fields, key) !== '') || Array.isArray(fields.context);
  if (route === 'generate' && fields.raw === true && extra) return 'raw mode does not support template, system, or context';
  if (textOf(fields, 'suffix') !== '' && !can('insert')) return `${fullName(model.stored.name)} does not support insert`;
  if (Array.isArray(fields.tools) && fields.tools.length > 0 && !can('tools'))
    return `${fullName(model.stored.name)} does not support tools`;
  if (!can('completion')) return `"${asked}" does not support ${route}`;
  if (fields.think !== undefined && fields.think !== false && !can('thinking')) return `"${asked}" does not support thinking`;
  return null;
}

function messagesOf(value: unknown): { role: string; content: string; images: unknown }[] {
  return (Array.isArray(value) ? value : []).map((message) => ({
    role: String(message?.role ?? ''),
    content: String(message?.content ?? ''),
    images: message?.images,
  }));
}

async function loadOrUnload(x: Exchange, engine: Inference, route: Route, plan: Plan): Promise<void> {
  const keepAliveMs = keepAliveOf(plan.fields.keep_alive);
  if (keepAliveMs === 0) {
    engine.scheduler.unload(plan.model.weights);
    json(x, 200, { ...envelope(route, plan.asked, '', {}), done: true, done_reason: 'unload' });
    return;
  }
  const options = optionsOf(plan.fields.options);
  if (typeof options === 'string') return refuse(x, 500, options);
  try {
    const { numCtx, runnerOptions } = options;
    const want = { model: plan.model, asked: plan.asked, numCtx, runnerOptions, keepAliveMs, signal: x.signal };
    engine.scheduler.release(await engine.scheduler.acquire(want));
    json(x, 200, { ...envelope(route, plan.asked, '', {}), done: true, done_reason: 'load' });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(x, error.status, error.message);
  }
}

async function answer(x: Exchange, engine: Inference, route: Route, plan: Plan): Promise<void> {
  const { fields } = plan;
  const options = optionsOf(fields.options);
  if (typeof options === 'string') return refuse(x, 500, options);
  const rendered = render(route, plan);
  if (typeof rendered === 'string') return refuse(x, 400, rendered);
  if (fields._debug_render_only === true) return debug(x, engine, route, plan, rendered, options);
  const events = generate(engine, {
    model: plan.model,
    asked: plan.asked,
    rendered,
    badImages: plan.badImages,
    raw: fields.raw === true || route === 'chat',
    ...options,
    keepAliveMs: keepAliveOf(fields.keep_alive),
    badFormat: badFormat(fields.format),
    tool: route === 'chat' ? toolCallFor(fields.tools, plan.messages.at(-1)?.role ?? '') : null,
    signal: x.signal,
  });
  if (fields.stream === false) await whole(x, route, plan.asked, events);
  else await streamed(x, route, plan.asked, events);
}

function render(route: Route, plan: Plan): Rendered | string {
  const think = typeof plan.fields.think === 'boolean' ? plan.fields.think : undefined;
  try {
    if (route === 'chat') return renderChat(plan.model, plan.messages, think);
    const images = plan.messages[0]?.images ?? 0;
    return renderPrompt(plan.model, { prompt: textOf(plan.fields, 'prompt'), raw: plan.fields.raw === true, images, think });
  } catch (error) {
    if (error instanceof RunnerRefusal) return error.message;
    throw error;
  }
}

async function debug(
  x: Exchange,
  engine: Inference,
  route: Route,
  plan: Plan,
  rendered: Rendered,
  { numCtx, runnerOptions }: AskedOptions,
): Promise<void> {
  const want = {
    model: plan.model,
    asked: plan.asked,
    numCtx,
    runnerOptions,
    keepAliveMs: keepAliveOf(plan.fields.keep_alive),
    signal: x.signal,
  };
  engine.scheduler.release(await engine.scheduler.acquire(want));
  const info = { rendered_template: rendered.prompt, ...(rendered.images > 0 ? { image_count: rendered.images } : {}) };
  const base = envelope(route, plan.asked, '', {});
  json(x, 200, { ...base, ...(route === 'chat' ? { message: { role: '', content: '' } } : {}), done: false, _debug_info: info });
}

/** The fields that every line begins with. */
function envelope(route: Route, model: string, text: string, more: { thinking?: string; tool_calls?: unknown }): Record<string, unknown> {
  const base = { model, created_at: goTime(nowNs()) };
  return route === 'generate' ? { ...base, response: text, ...more } : { ...base, message: { role: 'assistant', content: text, ...more } };
}

async function streamed(x: Exchange, route: Route, asked: string, events: AsyncGenerator<Event>): Promise<void> {
  let out: ReturnType<typeof ndjson> | null = null;
  for await (const event of events) {
    if (event.k === 'refused') return refuse(x, event.status, event.text);
    if (event.k === 'cut') return void x.res.destroy();
    out ??= ndjson(x, event.k === 'failed' ? event.status : 200);
    if (event.k === 'failed') out.line({ error: event.text });
    else if (event.k === 'token') out.line({ ...said(route, asked, event), done: false });
    else if (event.k === 'tool') out.line({ ...envelope(route, asked, '', { tool_calls: calls(event.call) }), done: false });
    else if (event.k === 'done') out.line({ ...envelope(route, asked, '', {}), ...ending(route, event) });
  }
  if (!x.signal.aborted) (out ?? ndjson(x)).end();
}

async function whole(x: Exchange, route: Route, asked: string, events: AsyncGenerator<Event>): Promise<void> {
  let text = '';
  let thinking = '';
  let tool: ToolCall | null = null;
  for await (const event of events) {
    if (event.k === 'refused' || event.k === 'failed') return refuse(x, event.status, event.text);
    if (event.k === 'cut') return void x.res.destroy();
    if (event.k === 'token' && event.thinking) thinking += event.text;
    else if (event.k === 'token') text += event.text;
    else if (event.k === 'tool') tool = event.call;
    else if (event.k === 'done') {
      const more = { ...(thinking === '' ? {} : { thinking }), ...(tool === null ? {} : { tool_calls: calls(tool) }) };
      return json(x, 200, { ...envelope(route, asked, text, more), ...ending(route, event) });
    }
  }
  if (!x.signal.aborted) json(x, 200, { ...envelope(route, asked, text, {}), done: false });
}

function said(route: Route, asked: string, event: Extract<Event, { k: 'token' }>): Record<string, unknown> {
  return event.thinking ? envelope(route, asked, '', { thinking: event.text }) : envelope(route, asked, event.text, {});
}

function calls({ name, args }: ToolCall): readonly unknown[] {
  return [{ id: 'call_ab12cd34', function: { index: 0, name, arguments: args } }];
}

function ending(route: Route, event: Extract<Event, { k: 'done' }>): Record<string, unknown> {
  const context = route === 'generate' && event.context !== null ? { context: event.context } : {};
  return { done: true, done_reason: event.reason, ...context, ...event.metrics };
}
