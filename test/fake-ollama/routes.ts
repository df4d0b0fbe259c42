// The table of routes.

import { setTimeout as pause } from 'node:timers/promises';
import { serveCreate } from './create.ts';
import { StoreError } from './disk.ts';
import { embedV1, serveEmbed, serveEmbeddings } from './embed.ts';
import { preflight } from './gate.ts';
import { goTime } from './go.ts';
import { type Exchange, empty, head, json, refuse, reply, TYPE } from './http.ts';
import { serveMessages } from './messages.ts';
import { shortName } from './names.ts';
import { type Inference, serveInference } from './native.ts';
import { completeV1, listV1, oneV1 } from './openai.ts';
import { servePull } from './pull.ts';
import { servePush } from './push.ts';
import { serveShow } from './show.ts';
import { serveBlob, serveCopy, serveDelete } from './store-calls.ts';

/** What the routes need: the engine, and what the start found wrong with the store for good. */
export type Server = Inference & { readonly listError: string | null };

type Handler = (x: Exchange, server: Server) => void | Promise<void>;
type Route = { readonly path: RegExp; readonly methods: Readonly<Record<string, Handler>> };

const root: Handler = (x) => reply(x, 200, TYPE.text, 'Ollama is running');
const version: Handler = (x, server) => json(x, 200, { version: server.faults().version ?? server.options.version });

const ROUTES: readonly Route[] = [
  { path: /^\/$/, methods: { GET: root, HEAD: root } },
  { path: /^\/api\/version$/, methods: { GET: version, HEAD: version } },
  { path: /^\/api\/status$/, methods: { GET: (x) => json(x, 200, { cloud: { disabled: true, source: 'env' } }) } },
  { path: /^\/api\/tags$/, methods: { GET: tags, HEAD: tags } },
  { path: /^\/api\/ps$/, methods: { GET: ps } },
  { path: /^\/api\/show$/, methods: { POST: (x, s) => serveShow(x, s.options.store, s.models) } },
  { path: /^\/api\/generate$/, methods: { POST: (x, s) => serveInference(x, s, 'generate') } },
  { path: /^\/api\/chat$/, methods: { POST: (x, s) => serveInference(x, s, 'chat') } },
  { path: /^\/api\/pull$/, methods: { POST: servePull } },
  { path: /^\/api\/create$/, methods: { POST: (x, s) => serveCreate(x, s.options.store) } },
  { path: /^\/api\/copy$/, methods: { POST: (x, s) => serveCopy(x, s.options.store) } },
  { path: /^\/api\/delete$/, methods: { DELETE: (x, s) => serveDelete(x, s.options.store) } },
  { path: /^\/api\/blobs\/[^/]+$/, methods: { HEAD: blob, POST: blob } },
  { path: /^\/api\/embed$/, methods: { POST: serveEmbed } },
  { path: /^\/api\/embeddings$/, methods: { POST: serveEmbeddings } },
  { path: /^\/api\/push$/, methods: { POST: (x, s) => servePush(x, s.options.store) } },
  { path: /^\/v1\/embeddings$/, methods: { POST: embedV1 } },
  { path: /^\/v1\/messages$/, methods: { POST: serveMessages } },
  { path: /^\/v1\/models$/, methods: { GET: (x, s) => listV1(x, s.options.store) } },
  { path: /^\/v1\/models\/.+$/, methods: { GET: (x, s) => oneV1(x, s.options.store, last(x.path)) } },
  { path: /^\/v1\/chat\/completions$/, methods: { POST: (x, s) => completeV1(x, s, true) } },
  { path: /^\/v1\/completions$/, methods: { POST: (x, s) => completeV1(x, s, false) } },
];

/** Answers one request. */
export async function serve(x: Exchange, server: Server): Promise<void> {
  const route = ROUTES.find((each) => each.path.test(x.path));
  if (route === undefined) return reply(x, 404, TYPE.bare, '404 page not found');
  const allowed = Object.keys(route.methods).join(', ');
  if (x.method === 'OPTIONS') {
    head({ ...x, extra: [] }, 204, preflight(x.extra, allowed), []);
    x.res.end();
    return;
  }
  const handler = route.methods[x.method];
  if (handler === undefined) return reply(x, 405, TYPE.bare, '405 method not allowed', [['Allow', allowed]]);
  if (isHung(x)) return;
  const broken = server.faults().httpError;
  if (broken !== null && x.path.startsWith(broken.path)) return refuse(x, broken.status, broken.error);
  await handler(x, server);
}

function isHung(x: Exchange): boolean {
  const hang = x.faults().hang;
  return (
    hang === 'all' ||
    (hang === 'inference' && /^\/(api\/(generate|chat|embed|embeddings)|v1\/(.*completions|embeddings|messages))$/.test(x.path))
  );
}

async function tags(x: Exchange, server: Server): Promise<void> {
  if (server.faults().tagsBlockMs > 0) await pause(server.faults().tagsBlockMs);
  if (server.listError !== null) return refuse(x, 500, server.listError);
  try {
    json(x, 200, { models: server.models.tags() });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    refuse(x, 500, error.message);
  }
}

async function ps(x: Exchange, server: Server): Promise<void> {
  await server.scheduler.unlocked();
  if (server.faults().psBlockMs > 0) await pause(server.faults().psBlockMs);
  const models = server.scheduler.loaded().map((runner) => {
    const { stored } = runner.model;
    const name = shortName(stored.name);
    const expiresAt = runner.expiresAt ?? Date.now() + runner.keepAliveMs;
    return {
      name,
      model: name,
      size: stored.sizeBytes,
      digest: stored.digest,
      details: server.models.details(stored),
      expires_at: goTime(BigInt(Math.round(expiresAt)) * 1_000_000n + 7n),
      size_vram: Math.round(runner.sizeVram * server.faults().vramRatio),
      context_length: runner.numCtx,
    };
  });
  json(x, 200, { models });
}

function blob(x: Exchange, server: Server): Promise<void> {
  return serveBlob(x, server.options.store, decodeURIComponent(last(x.path)));
}

function last(path: string): string {
  return path.startsWith('/v1/models/') ? decodeURIComponent(path.slice('/v1/models/'.length)) : (path.split('/').at(-1) ?? '');
}

/** The refusal that a failed Host or Origin check gives. */
export function forbid(x: Exchange): void {
  empty(x, 403);
}
