// Asks a server in use everything that changes nothing, and compares its answers with the recordings.
import { isDeepStrictEqual } from 'node:util';
import { fullName, parseName } from '../../../fake-ollama/names.ts';
import { comparable, expected, recording } from '../recordings.ts';
import { send, type WireReply, type WireRequest } from '../wire.ts';
import { neverAsked, QUESTIONS, type Question } from './questions.ts';
import { belongings, type Place, placeOf, type Subject, subjectOf, talk } from './server.ts';
import { differences, linesOf } from './shape.ts';

/** What came of one recording. */
export type Finding =
  | { readonly name: string; readonly k: 'same' }
  | { readonly name: string; readonly k: 'differs'; readonly how: readonly string[] }
  | { readonly name: string; readonly k: 'not asked'; readonly why: string };

/** What came of a run. `changed`: what is not as it was before. */
export type Findings = {
  readonly version: string;
  readonly subject: Subject | string;
  readonly findings: readonly Finding[];
  readonly changed: readonly string[];
};

const TOKENS_MAX = 8;
/** Long enough that a client can leave in the middle. */
const TOKENS_LONG = 200;

/** A request that names a model of the recordings. */
const KNOWN = /"model":"(?:registry\.ollama\.ai\/library\/)?(tiny|TINY|tiny2|tinyv|tinye|mid)(?::latest)?"/;

/** Asks the server at a URL. `model`: the one to ask, null = choose. Throws an `Error` when there is no server. */
export async function askServer(url: string, model: string | null): Promise<Findings> {
  const place = placeOf(url);
  const version = await talk(place, 'GET', '/api/version', null, 10_000);
  if (version.status !== 200) throw new Error(`${url}: no Ollama answers there (GET /api/version: ${version.status ?? 'nothing'})`);
  const before = await belongings(place);
  const subject = await ready(place, await subjectOf(place, model));
  const findings: Finding[] = [...neverAsked()].map(([name, why]) => ({ name, k: 'not asked', why }));
  for (const question of QUESTIONS) {
    const why = whyNot(question, place, subject);
    findings.push(why === null ? await ask(question, place, subject) : { name: question.name, k: 'not asked', why });
  }
  if (typeof subject !== 'string' && subject.own) await letGo(place, subject);
  const after = await belongings(place);
  const changed = (['stored', 'loaded'] as const).filter((what) => !isDeepStrictEqual(before[what], after[what]));
  return { version: String(JSON.parse(version.body).version), subject, findings, changed };
}

// A model that is not loaded is loaded once, with patience; when that fails, no model is asked.
async function ready(place: Place, subject: Subject | string): Promise<Subject | string> {
  if (typeof subject === 'string' || !subject.own) return subject;
  const route = subject.capabilities.includes('completion') ? '/api/generate' : '/api/embed';
  const reply = await talk(place, 'POST', route, { model: subject.model });
  return reply.status === 200 ? subject : `${subject.model} does not load: ${reply.body.slice(0, 200)}`;
}

async function letGo(place: Place, subject: Subject): Promise<void> {
  await talk(place, 'POST', '/api/generate', { model: subject.model, keep_alive: 0 });
  const deadline = performance.now() + 10_000;
  while ((await belongings(place)).loaded.length > 0 && performance.now() < deadline) await new Promise((settle) => setTimeout(settle, 50));
}

function whyNot({ need, name }: Question, place: Place, subject: Subject | string): string | null {
  if (need === 'nothing') return null;
  if (need === 'loopback')
    return /^(127\.|localhost$|::1$)/.test(place.host) ? null : 'the server checks no Host header: it is not reached over loopback';
  if (typeof subject === 'string') return subject;
  // These routes carry no context length: a model that others loaded with one of their own would be reloaded.
  if (!subject.own && /^\/v1\/(chat|completions|messages|embeddings)/.test(recording(name).request.path))
    return `${subject.model} was loaded before, and this route might reload it`;
  const can = (what: string) => subject.capabilities.includes(what);
  if (need === 'embedding') return can('embedding') ? null : `${subject.model} does not embed`;
  if (name === 'embed-empty-input') return null;
  if (!can('completion')) return `${subject.model} does not speak`;
  if (need === 'own model') return subject.own ? null : `${subject.model} was loaded before, and must stay`;
  if (need === 'vision') return can('vision') ? null : `${subject.model} does not see`;
  const without = /^no (.+)$/.exec(need)?.[1];
  return without !== undefined && can(without) ? `${subject.model} has ${without}` : null;
}

async function ask(question: Question, place: Place, subject: Subject | string): Promise<Finding> {
  const { name } = question;
  const request = adapted(name, place, typeof subject === 'string' ? null : subject);
  const abort = name === 'client-abort-while-generating' ? { closeAfterChunks: 2 } : {};
  const reply = await send(place.port, request, { timeoutMs: 120_000, host: place.host, ...abort });
  if (name === 'host-refused' && reply.status === 200)
    return { name, k: 'not asked', why: 'the server checks no Host header: it listens on all addresses' };
  const how = question.how === 'exact' ? exactly(name, reply, subject) : inShape(name, reply);
  return how.length === 0 ? { name, k: 'same' } : { name, k: 'differs', how };
}

/** The recorded request for this server and this model, with few tokens. */
function adapted(name: string, place: Place, subject: Subject | null): WireRequest {
  const { request } = recording(name);
  const keepsHost = /^(host|origin|options)-/.test(name);
  const headers = request.headers.map(([key, value]): readonly [string, string] => [
    key,
    key === 'Host' && !keepsHost ? `${place.host}:${place.port}` : value,
  ]);
  if (subject === null) return { ...request, headers };
  const path = request.path === '/v1/models/tiny' ? `/v1/models/${encodeURIComponent(subject.model)}` : request.path;
  if (!KNOWN.test(String(request.body ?? ''))) return { ...request, headers, path };
  const body = new Map<string, unknown>(Object.entries(JSON.parse(String(request.body))));
  body.set('model', spelled(name, subject.model));
  const long = name === 'client-abort-while-generating';
  if (request.path.startsWith('/api/')) {
    const asked = (body.get('options') ?? {}) as { num_predict?: number };
    const limit = long ? TOKENS_LONG : Math.min(asked.num_predict ?? TOKENS_MAX, TOKENS_MAX);
    const context = subject.numCtx === null ? {} : { num_ctx: subject.numCtx };
    if (!/invalid-option/.test(name)) body.set('options', { ...asked, num_predict: limit, ...context });
    if (subject.own === false && Number(body.get('keep_alive') ?? 1) !== 0) body.delete('keep_alive');
  } else if (!request.path.endsWith('embeddings'))
    body.set('max_tokens', Math.min(Number(body.get('max_tokens') ?? TOKENS_MAX), TOKENS_MAX));
  return { ...request, headers, path, body: JSON.stringify(Object.fromEntries(body)) };
}

function spelled(name: string, model: string): string {
  if (name === 'generate-case-variant') return model.toUpperCase();
  const parsed = parseName(model);
  return name === 'generate-fqn' && parsed !== null ? fullName(parsed) : model;
}

function exactly(name: string, reply: WireReply, subject: Subject | string): readonly string[] {
  const model = typeof subject === 'string' ? '' : subject.model;
  const parsed = parseName(model);
  const neutral = (text: string, own: string, full: string) =>
    text
      .replace(/Content-Length: \d+/, 'Content-Length: *')
      .replace(/\{\\"version\\":\\"[^"\\]+/, '{VERSION')
      .replaceAll(full === '' ? '\0' : full, 'FULL')
      .replaceAll(own === '' ? '\0' : own, 'MODEL');
  const want = JSON.stringify(expected(name));
  const got = JSON.stringify(comparable(reply, '$OLLAMA_MODELS'));
  const recorded = KNOWN.exec(String(recording(name).request.body))?.[1] ?? '';
  const wanted = neutral(
    want,
    recorded === '' ? '' : `"${recorded}\\`,
    recorded === '' ? '' : `registry.ollama.ai/library/${recorded}:latest`,
  );
  const given = recorded === '' ? neutral(got, '', '') : neutral(got, `"${model}\\`, parsed === null ? '' : fullName(parsed));
  return wanted === given ? [] : [`recorded ${want}`, `     got ${got}`];
}

function inShape(name: string, reply: WireReply): readonly string[] {
  const { response } = recording(name);
  const body = response.chunks?.map((chunk) => chunk.text).join('') ?? response.body ?? '';
  const want = linesOf(body);
  const got = linesOf(reply.chunks === null ? reply.body : reply.chunks.join(''));
  // A body of more than 2 KB goes out in chunks, a shorter one with its length.
  const headers = (all: readonly (readonly [string, string])[]) =>
    all
      .map(([key, value]) => (key === 'Content-Type' ? `${key}: ${value}` : key.replace(/^(Content-Length|Transfer-Encoding)$/, 'framing')))
      .join(', ');
  const how: string[] = [];
  if (reply.status !== response.status) how.push(`status ${reply.status}, recorded ${response.status}: ${reply.body.slice(0, 200)}`);
  if (reply.end !== response.end) how.push(`it ended "${reply.end}", recorded "${response.end}"`);
  if (headers(reply.headers) !== headers(response.headers ?? []))
    how.push(`headers ${headers(reply.headers)}, recorded ${headers(response.headers ?? [])}`);
  if (want.length > 0 && got.length === 0) how.push('an empty answer');
  else how.push(...differences(want[0], got[0]), ...(reply.end === 'complete' ? differences(want.at(-1), got.at(-1)) : []));
  if (want.at(-1) === '[DONE]' && got.at(-1) !== '[DONE]') how.push('no [DONE] at the end');
  return [...new Set(how)];
}
