// What watches the agent: the HTTP port, metrics, alerts and their channels. Reads the same snapshots as the control service.
import { join } from 'node:path';
import { type Alerts, startAlerts } from './agent/alerts.ts';
import { readClocks, readMono } from './agent/clock.ts';
import { type AlertHandlers, type ControlCaller, ControlError, type ControlHandlers, type ReplicationView } from './agent/control.ts';
import type { Loop } from './agent/loop.ts';
import type { BalancerPort, Sink, StatePort } from './agent/ports.ts';
import { ConfigError, problemOf } from './config/problem.ts';
import type { Config } from './config/schema.ts';
import { readSecret } from './config/secret.ts';
import type { AlertFacts } from './core/alerts/types.ts';
import type { HistoryEntry } from './core/io.ts';
import { shrankText } from './core/removals.ts';
import { displayName, pathOfName } from './core/replication/names.ts';
import { createEvents } from './drivers/http/events.ts';
import { routesOf } from './drivers/http/routes.ts';
import { openHttp } from './drivers/http/server.ts';
import { readCards, readInterfaces, readMemory } from './drivers/metrics/host.ts';
import { createMetrics } from './drivers/metrics/metrics.ts';
import { createTally, type Tally } from './drivers/metrics/tally.ts';
import { statusPage } from './drivers/page/page.ts';
import { readAlertMemory, writeAlertMemory } from './drivers/webhook/saved.ts';
import { type Channel, openWebhooks } from './drivers/webhook/sender.ts';
import type { AgentLog } from './log.ts';

/** What observation needs once the agent runs. */
export type Observed = {
  readonly loop: Loop;
  /** Null where no balancer is kept. */
  readonly nginx: BalancerPort | null;
  readonly control: ControlHandlers;
  readonly history: () => readonly HistoryEntry[];
  readonly traffic: () => { readonly messages: number; readonly bytes: number };
};

/** Observation before the agent runs: it already counts what passes. */
export type Observation = {
  /** The same sink; what goes to the core is counted. */
  readonly sink: (sink: Sink) => Sink;
  /** The same port; lines of history are counted and reported. */
  readonly state: (port: StatePort) => StatePort;
  readonly alerts: AlertHandlers;
  /** Opens the HTTP port and the channels. */
  readonly start: (observed: Observed) => Promise<void>;
  readonly close: () => Promise<void>;
};

const TOKEN_LENGTH_MIN = 16;
const URL_LENGTH_MIN = 8;
/** Between two questions about the scrub, whose answer reads a directory. */
const SCRUB_EVERY_MS = 30_000;
/** Lines of history on the status page. */
const PAGE_HISTORY_MAX = 30;
const local: ControlCaller = { via: 'socket', name: '', signal: new AbortController().signal };

/** Reads the secrets. Throws a ConfigError that says which file is missing or wrong. */
export function prepareObservation(config: Config, log: AgentLog): Observation {
  const token = config.http.tokenFile === undefined ? '' : readSecret(config.http.tokenFile, { minLength: TOKEN_LENGTH_MIN });
  const channels = config.alerts.channels.map((channel) => channelOf(channel, config.alerts.language));
  const tally = createTally();
  const early: HistoryEntry[] = [];
  let alerts: Alerts | null = null;
  const closing: (() => Promise<void>)[] = [];
  const running = (): Alerts => {
    if (alerts === null) throw new ControlError('unavailable', 'the agent is starting', 'ask again in a second');
    return alerts;
  };
  return {
    sink: (sink) => (input) => {
      if (input.k === 'evidence') tally.evidence(input.evidence);
      sink(input);
    },
    state: (port) => ({
      ...port,
      appendHistory(entry) {
        port.appendHistory(entry);
        tally.history(entry);
        if (alerts === null) early.push(entry);
        else alerts.history(entry);
      },
    }),
    alerts: {
      list: async (caller) => running().handlers.list(caller),
      test: async (order, caller) => running().handlers.test(order, caller),
    },
    async start(observed) {
      const webhooks = openWebhooks({
        channels,
        dir: join(config.paths.state, 'alerts/queue'),
        runbooks: config.alerts.runbooks,
        wallMs: Date.now,
        log,
      });
      closing.push(() => webhooks.close());
      const memoryFile = join(config.paths.state, 'alerts/memory.json');
      const problem = (text: string) => log('warn', 'alert_state', text, {});
      const started = startAlerts({
        cluster: config.cluster.name,
        node: config.node.id,
        facts: factsFrom(observed, tally),
        limits: config.alerts,
        outbox: webhooks,
        memory: readAlertMemory(memoryFile, problem),
        save: (memory) => writeAlertMemory(memoryFile, memory, problem),
        history: observed.history(),
        clock: readClocks,
      });
      alerts = started;
      for (const entry of early.splice(0)) started.history(entry);
      closing.push(async () => started.close());
      closing.push(await serve(config, token, observed, tally, started, log));
    },
    async close() {
      for (const close of closing.splice(0).toReversed()) await close();
    },
  };
}

async function serve(
  config: Config,
  token: string,
  observed: Observed,
  tally: Tally,
  alerts: Alerts,
  log: AgentLog,
): Promise<() => Promise<void>> {
  const { loop, control } = observed;
  const status = () => control.status(local);
  const metrics = createMetrics();
  const startedAtMs = Date.now() - 1000 * process.uptime();
  const acting = () => {
    const { acting: acts, enforceAt } = loop.view().state.leaseDesired;
    return acts && readMono() < enforceAt;
  };
  const events = createEvents({ status });
  const routes = routesOf(
    {
      status,
      acting,
      turnAgeMs: () => readMono() - loop.view().at,
      missing: (models) => missingHere(loop, config.ollama === null ? null : models.length > 0 ? models : config.ollama.required),
      metrics: async () => {
        const [now, replication, memory, interfaces, cards] = await Promise.all([
          status(),
          replicationOf(control),
          readMemory(),
          readInterfaces(),
          readCards(),
        ]);
        const { user, system } = process.cpuUsage();
        const own = { residentBytes: process.memoryUsage.rss(), cpuSeconds: (user + system) / 1e6, startedAtMs };
        const facts = {
          status: now,
          acting: acting(),
          replication,
          alerts: alerts.view(),
          tally,
          traffic: observed.traffic(),
          nginx: observed.nginx?.view() ?? null,
          process: own,
        };
        return metrics.scrape({ ...facts, memory, interfaces, cards });
      },
      switchover: (order, signal) => control.switchover(order, { ...local, signal }),
      page: statusPage(),
      pageData: async () => {
        const [models, history, replication] = await Promise.all([
          control.models(local),
          control.history({ limit: PAGE_HISTORY_MAX }, local),
          replicationOf(control),
        ]);
        return { nowMs: Date.now(), models, history, transfers: replication?.transfers ?? [] };
      },
    },
    events,
  );
  const names = [...config.cluster.nodes, ...config.redis.voters].flatMap((place) => [place.id, place.address]);
  const http = await openHttp({ listen: config.http.listen, token, routes, names, log });
  return async () => {
    events.close();
    await http.close();
  };
}

/** Names that are not complete here; all of them while the store is not known yet. */
function missingHere(loop: Loop, models: readonly string[] | null): readonly string[] | null {
  if (models === null) return null;
  const complete = new Set((loop.view().state.own?.models ?? []).filter((model) => model.complete).map((model) => displayName(model.path)));
  return models.filter((name) => {
    const path = pathOfName(name);
    return path === null || !complete.has(displayName(path));
  });
}

async function replicationOf(control: ControlHandlers): Promise<ReplicationView | null> {
  // Null on a witness, and while the agent starts.
  return (await control.replication?.state(local).catch(() => null)) ?? null;
}

function factsFrom({ loop, control }: Observed, tally: Tally): () => Promise<AlertFacts> {
  let corruptBlobs = 0;
  let askedAt = -Infinity;
  return async () => {
    const status = await control.status(local);
    const { state } = loop.view();
    const memory = await readMemory();
    if (readMono() - askedAt > SCRUB_EVERY_MS) {
      askedAt = readMono();
      corruptBlobs = (await replicationOf(control))?.scrub.corruptBlobs ?? 0;
    }
    const lost = state.deletions.alert === null ? '' : shrankText(state.deletions.alert);
    return {
      ...status,
      keepalivedDiffers: status.keepalived?.differs ?? '',
      memoryUsed: memory === null ? null : 1 - memory.availableBytes / memory.totalBytes,
      responseMs: tally.percentile(0.5),
      store: state.config.candidate ? { blocked: state.plan?.blocked ?? '', lost, corruptBlobs } : null,
    };
  };
}

function channelOf(channel: Config['alerts']['channels'][number], language: 'en' | 'zh'): Channel {
  const { name, kind, minSeverity, perMinuteMax } = channel;
  const secret = channel.secretFile === undefined ? '' : readSecret(channel.secretFile, { minLength: 1 });
  const url = channel.url ?? (channel.urlFile === undefined ? '' : readSecret(channel.urlFile, { minLength: URL_LENGTH_MIN }).trim());
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    const where = channel.urlFile ?? `alerts.channels ${name}`;
    throw new ConfigError([problemOf(where, 'this is not the URL of a webhook', 'write one line that starts with https:// into the file')]);
  }
  return { name, kind, url, secret, language: channel.language ?? language, minSeverity, perMinuteMax };
}
