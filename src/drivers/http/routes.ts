// The route table of the agent. A further page is one more line in `routesOf`.
import type { CommandOutcome, NodeRow, StatusView } from '../../agent/control.ts';
import type { Events } from './events.ts';
import { type Answered, type Asked, json, type Route } from './route.ts';

/** What the routes ask of the agent. Each is cheap: answered from the newest state. */
export type HttpAnswers = {
  readonly status: () => Promise<StatusView>;
  /** This node holds the lease, and the deadline by which it must stop has not passed, now. */
  readonly acting: () => boolean;
  /** Age of the newest turn of the loop, ms. */
  readonly turnAgeMs: () => number;
  /** Of the models named (or of the required ones, where none is), those that are not complete here; null = this node has no store. */
  readonly missing: (models: readonly string[]) => readonly string[] | null;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly switchover: (order: SwitchoverOrder, signal: AbortSignal) => Promise<CommandOutcome>;
  /** The status page, whose headers say what it may do. */
  readonly page: { readonly text: string; readonly headers: Readonly<Record<string, string>> };
  /** What the page shows beside the status: models, copies on their way, history. */
  readonly pageData: () => Promise<unknown>;
};

/** POST and DELETE /switchover. `atMs` 0 = now. */
export type SwitchoverOrder = {
  readonly to: string;
  readonly atMs: number;
  readonly dryRun: boolean;
  readonly cancel: boolean;
  readonly by: string;
};

const MODELS_MAX = 100;
const BY_DEFAULT = 'http';

/** Every route of the agent. */
export function routesOf(answers: HttpAnswers, events: Events): readonly Route[] {
  const get = (path: string, answer: Route['answer'], access: Route['access'] = 'open'): Route => ({ method: 'GET', path, access, answer });
  const liveness: Route['answer'] = async () => livenessOf(await answers.status(), answers);
  const readiness: Route['answer'] = async ({ query }) => readinessOf(query, answers);
  return [
    get('/leader', async () => leaderOf(await answers.status(), answers)),
    get('/standby', async () => standbyOf(await answers.status())),
    get('/health', async () => healthOf(await answers.status())),
    get('/liveness', liveness),
    get('/healthz', liveness),
    get('/readiness', readiness),
    get('/readyz', readiness),
    get('/metrics', async () => {
      const { contentType, text } = await answers.metrics();
      return { k: 'text', status: 200, type: contentType, text };
    }),
    get('/status', async () => json(200, await answers.status()), 'tokenOffLoopback'),
    get(
      '/events',
      async () => (events.room() ? { k: 'stream', open: events.open } : json(503, { error: 'too many listeners' })),
      'tokenOffLoopback',
    ),
    get('/ui', async () => ({ k: 'text', status: 200, type: 'text/html; charset=utf-8', ...answers.page }), 'tokenOffLoopback'),
    get('/ui/data', async () => json(200, await answers.pageData()), 'tokenOffLoopback'),
    { method: 'POST', path: '/switchover', access: 'token', answer: (asked) => switchoverOf(asked, answers) },
    { method: 'DELETE', path: '/switchover', access: 'token', answer: (asked) => cancelOf(asked, answers) },
  ];
}

/** What stands in every body: this node as `agentctl status --json` shows it. */
function nodeBody(status: StatusView): { readonly own: NodeRow | undefined; readonly body: Readonly<Record<string, unknown>> } {
  const own = status.nodes.find((row) => row.node === status.asked);
  const { cluster, holder, epoch, leaseLeftMs, mode } = status;
  return { own, body: { cluster, holder, epoch, leaseLeftMs, mode, ...own } };
}

function leaderOf(status: StatusView, { acting }: HttpAnswers): Answered {
  const { own, body } = nodeBody(status);
  const draining = own?.tags.includes('draining') === true;
  const holds = acting();
  // A drain is announced at its start: balancers send new requests elsewhere while open ones end.
  const why = !holds ? 'not the active node' : draining ? 'draining' : '';
  return json(why === '' ? 200 : 503, { leader: why === '', why, ...body });
}

function standbyOf(status: StatusView): Answered {
  const { own, body } = nodeBody(status);
  const why = whyNoStandby(status, own);
  return json(why === '' ? 200 : 503, { standby: why === '', why, ...body });
}

function whyNoStandby(status: StatusView, own: NodeRow | undefined): string {
  if (own === undefined) return 'not known';
  if (status.holder === status.asked || own.role === 'active') return 'this node is active';
  if (own.role !== 'standby') return `this node is a ${own.role}`;
  return own.vetoes[0] ?? '';
}

function healthOf(status: StatusView): Answered {
  const { own, body } = nodeBody(status);
  if (own === undefined || own.ollama === '') return json(503, { healthy: false, why: 'no Ollama on this node', ...body });
  const healthy = own.ollama === 'up' || own.ollama === 'degraded';
  return json(healthy ? 200 : 503, { healthy, why: healthy ? '' : `ollama ${own.ollama}: ${own.ollamaReason}`, ...body });
}

const TURN_SLACK_MS = 50;

function livenessOf(status: StatusView, { turnAgeMs }: HttpAnswers): Answered {
  const limitMs = (status.holder === status.asked ? 1 : 2) * (status.ttlMs - TURN_SLACK_MS);
  const ageMs = Math.round(turnAgeMs());
  const live = ageMs < limitMs;
  return json(live ? 200 : 503, {
    live,
    why: live ? '' : `the last turn is ${ageMs} ms old`,
    turnAgeMs: ageMs,
    limitMs,
    node: status.asked,
  });
}

function readinessOf(query: URLSearchParams, { missing }: HttpAnswers): Answered {
  const models = query
    .getAll('models')
    .flatMap((text) => text.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (models.length > MODELS_MAX) return json(400, { error: `at most ${MODELS_MAX} models` });
  const lacking = missing(models);
  if (lacking === null) return json(503, { ready: false, why: 'no model store on this node', missing: models });
  const ready = lacking.length === 0;
  return json(ready ? 200 : 503, { ready, why: ready ? '' : `not complete here: ${lacking.join(', ')}`, missing: lacking });
}

async function switchoverOf({ body, signal }: Asked, { switchover }: HttpAnswers): Promise<Answered> {
  const order = orderOf(body);
  if (typeof order === 'string') return json(400, { error: order });
  const result = await switchover(order, signal);
  return json(result.outcome === 'done' && order.atMs > 0 ? 202 : (codes[result.outcome] ?? 503), result);
}

async function cancelOf({ signal }: Asked, { switchover }: HttpAnswers): Promise<Answered> {
  const result = await switchover({ to: '', atMs: 0, dryRun: false, cancel: true, by: BY_DEFAULT }, signal);
  return json(result.outcome === 'nothing' ? 404 : (codes[result.outcome] ?? 503), result);
}

/** By outcome; `incomplete`: the role moved, the old active is not back yet. */
const codes: Readonly<Record<string, number>> = { done: 200, incomplete: 200, refused: 412, nothing: 503, unknown: 503 };

/** The order, or what is wrong with it. */
function orderOf(body: string): SwitchoverOrder | string {
  let value: unknown;
  try {
    value = body.trim() === '' ? {} : JSON.parse(body);
  } catch {
    return 'the body is not JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the body is not a JSON object';
  const unknown = Object.keys(value).find((key) => !['to', 'at', 'dryRun', 'by'].includes(key));
  if (unknown !== undefined) return `unknown field ${unknown.slice(0, 40)}; known: to, at, dryRun, by`;
  const { to = '', at, dryRun = false, by = BY_DEFAULT } = value as Record<string, unknown>;
  if (typeof to !== 'string' || !/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$/.test(to)) return 'to: must be a node id';
  if (typeof dryRun !== 'boolean') return 'dryRun: must be true or false';
  if (typeof by !== 'string' || by.length > 64 || /\p{Cc}/u.test(by)) return 'by: must be a text of at most 64 characters';
  const atMs = at === undefined ? 0 : typeof at === 'string' ? Date.parse(at) : Number.NaN;
  if (!Number.isFinite(atMs)) return 'at: must be an ISO 8601 time';
  return { to, atMs, dryRun, cancel: false, by };
}
