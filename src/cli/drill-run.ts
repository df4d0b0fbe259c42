// One drill from its first request to its report. The guard (drill-guard.ts) stands ready before anything is done, and takes it back in any case.
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import type { HistoryEntry, StatusReply } from '../gen/control.ts';
import { type AgentClient, through, withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import type { Fault } from './drill-fault.ts';
import { undoWords } from './drill-guard.ts';
import { type DrillKind, healthyElsewhere, mustMove } from './drill-plan.ts';
import { outageOf, type Probe, startProbe } from './drill-probe.ts';
import type { Happening, Seen } from './drill-report.ts';
import { CliError } from './errors.ts';

/** What is to be done, and what was there before. */
export type DrillOrder = {
  readonly kind: DrillKind;
  readonly config: Config;
  readonly before: StatusReply;
  readonly fault: Fault;
  readonly holdMs: number;
  readonly healMs: number;
};

const CALM_MS = 500;
const SETTLE_MS = 1000;
const LOOK_MS = 50;
/** The guard's own time: it ends what agentctl has forgotten, no sooner. */
const GUARD_SLACK_MS = 5000;

/** Runs it. Rejects only for what went wrong before the failure was made. */
export async function runDrill(ctx: CommandContext, order: DrillOrder): Promise<Seen> {
  const { before, config, fault, holdMs, kind } = order;
  const node = config.node.id;
  const observer = healthyElsewhere(node, before)[0]?.node ?? before.holder;
  const probe = probeOf(config);
  const timeline: Happening[] = [];
  const guard = await startGuard(ctx, fault, holdMs + GUARD_SLACK_MS).catch((error: unknown) => {
    probe?.stop();
    throw error;
  });
  let faultMs = Number.POSITIVE_INFINITY;
  const note = (what: string) => void timeline.push({ atMs: performance.now() - faultMs, what });
  // Connected before the failure: what that takes would keep the prober from asking in the very moment that counts.
  const watch = watchFrom(ctx, observer, before, note);
  try {
    await delay(CALM_MS);
    await untilSeen(watch);
    if (probe !== null && !probe.asks.some((ask) => ask.ok)) throw silent(before.vip);
    faultMs = performance.now();
    note(fault.what);
    await fault.inject();
    const moves = mustMove(kind, node, before);
    await untilMoved({ probe, watch, moves, holdMs, faultMs, holder: before.holder });
    const undoProblem = await guard.release();
    note(undoProblem === '' ? 'the failure is taken back' : `the failure could not be taken back: ${undoProblem}`);
    const undoneMs = performance.now();
    const unhealed = await untilHealed(watch, before, order.healMs);
    const healedMs = unhealed === '' ? performance.now() - undoneMs : null;
    if (healedMs !== null) note('everything is as before');
    await watch.stop();
    const last = watch.last() ?? before;
    return {
      kind,
      node,
      mustMove: moves,
      before: { holder: before.holder, epoch: Number(before.epoch) },
      after: { holder: last.holder, epoch: Number(last.epoch) },
      address: probe === null ? '' : addressOf(config),
      outage: probe === null ? null : outageOf(probe.asks, faultMs),
      undoProblem,
      healedMs,
      unhealed,
      splitBrain: watch.splitBrain(),
      timeline: [...timeline, ...answersOf(probe, faultMs)].toSorted((a, b) => a.atMs - b.atMs),
      history: await historySince(ctx, observer, Number(before.epoch)),
    };
  } finally {
    probe?.stop();
    await Promise.all([guard.release(), watch.stop()]);
  }
}

const SEEN_MS = 5000;

/** Without a word of the other node nothing could be watched. */
async function untilSeen(watch: Watch): Promise<void> {
  for (const until = performance.now() + SEEN_MS; watch.last() === null; await delay(LOOK_MS)) {
    if (performance.now() < until) continue;
    throw new CliError({
      code: 'drill',
      message: 'the agent of another node does not answer this host, so nothing could be watched; nothing was done',
      hint: 'agentctl --host NODE status, as root',
    });
  }
}

function addressOf({ vip }: Config): string {
  return vip?.addresses[0]?.split('/')[0] ?? '';
}

function probeOf(config: Config): Probe | null {
  if (config.vip === null || config.vip.driver === 'none') return null;
  return startProbe(addressOf(config), Number(new URL(config.ollama?.url ?? 'http://127.0.0.1:11434').port || '11434'));
}

/** When the address fell silent, and who answered then. */
function answersOf(probe: Probe | null, faultMs: number): readonly Happening[] {
  const asks = (probe?.asks ?? []).filter((ask) => ask.atMs >= faultMs).toSorted((a, b) => a.atMs - b.atMs);
  const words = asks.map((ask) => ({ atMs: ask.atMs - faultMs, what: ask.ok ? (ask.own ? 'this host' : 'another host') : '' }));
  return words
    .filter(({ what }, i) => i > 0 && what !== words[i - 1]?.what)
    .slice(0, 20)
    .map(({ atMs, what }) => ({ atMs, what: what === '' ? 'the address does not answer' : `${what} answers at the address` }));
}

type Watch = { last(sinceMs?: number): StatusReply | null; splitBrain(): boolean; stop(): Promise<void> };

/** Looks at the cluster through another node's agent, which the drill does not touch. A partition hides it until it is over. */
function watchFrom(ctx: CommandContext, observer: string, before: StatusReply, note: (what: string) => void): Watch {
  let last: StatusReply | null = null;
  let lastMs = 0;
  let split = false;
  let holder = before.holder;
  let over = false;
  const look = async (agent: AgentClient): Promise<void> => {
    while (!over) {
      const status = await agent.status();
      last = status;
      lastMs = performance.now();
      split ||= status.splitBrain;
      if (status.holder !== holder && status.holder !== '') note(`${status.holder} is active, epoch ${status.epoch} (${observer} says)`);
      if (status.holder !== '') holder = status.holder;
      await delay(LOOK_MS);
    }
  };
  const looking = (async () => {
    while (!over) await withAgent(through(ctx, observer), 1000, look).catch(() => delay(LOOK_MS));
  })();
  return {
    // A partition hides the cluster: what was seen before its end says nothing about now.
    last: (sinceMs = 0) => (lastMs >= sinceMs ? last : null),
    splitBrain: () => split,
    stop: () => {
      over = true;
      return looking;
    },
  };
}

type Until = {
  readonly probe: Probe | null;
  readonly watch: Watch;
  readonly moves: boolean;
  readonly holdMs: number;
  readonly faultMs: number;
  readonly holder: string;
};

/** Until another node is active and answers, and a second more; where nothing shall move, for the whole time. */
async function untilMoved({ probe, watch, moves, holdMs, faultMs, holder }: Until): Promise<void> {
  const endMs = faultMs + holdMs;
  const moved = (): boolean => {
    const elsewhere = (watch.last()?.holder ?? '') !== '' && watch.last()?.holder !== holder;
    const newest = probe?.asks.at(-1);
    return probe === null ? elsewhere : newest?.ok === true && !newest.own && newest.atMs > faultMs;
  };
  while (performance.now() < endMs && !(moves && moved())) await delay(LOOK_MS);
  if (moves) await delay(Math.max(0, Math.min(SETTLE_MS, endMs - performance.now())));
}

/** '' once every node and server is as it was; else what still lacks when the time is over. */
async function untilHealed(watch: Watch, before: StatusReply, healMs: number): Promise<string> {
  const from = performance.now();
  const until = from + healMs;
  for (;;) {
    const lacking = lackingOf(watch.last(from), before);
    if (lacking === '' || performance.now() > until) return lacking;
    await delay(LOOK_MS);
  }
}

function lackingOf(now: StatusReply | null, before: StatusReply): string {
  if (now === null) return 'no other agent can be asked';
  if (now.mode !== before.mode) return `the mode is ${now.mode}`;
  for (const was of before.nodes) {
    const row = now.nodes.find((candidate) => candidate.node === was.node);
    const living = (state: string | undefined) => state === 'alive' || state === 'self';
    if (living(was.state) && !living(row?.state)) return `${was.node} is ${row?.state ?? 'not known'}`;
    const veto = row?.vetoes.find((text) => !was.vetoes.includes(text));
    if (veto !== undefined) return `${was.node}: ${veto}`;
    if (row !== undefined && row.ollama !== was.ollama) return `${was.node}: Ollama is ${row.ollama}`;
  }
  const down = before.redis.find((was) => was.up && now.redis.find((row) => row.server === was.server)?.up !== true);
  return down === undefined ? '' : `the Redis server ${down.server} does not answer`;
}

async function historySince(ctx: CommandContext, observer: string, epoch: number): Promise<readonly HistoryEntry[]> {
  const reply = await withAgent(through(ctx, observer), 5000, (agent) => agent.history(20)).catch(() => ({ entries: [] }));
  return reply.entries.filter((entry) => Number(entry.epoch) > epoch).toSorted((a, b) => Number(a.atMs - b.atMs));
}

type Guard = { release(): Promise<string> };

/** Started and ready. `release` takes the failure back; '' or what went wrong. */
async function startGuard(ctx: CommandContext, fault: Fault, ms: number): Promise<Guard> {
  const [program, ...args] = ctx.self ?? [];
  if (program === undefined) throw new CliError({ code: 'internal', message: 'a drill needs an agentctl that can start itself' });
  const child = spawn(program, [...args, 'drill-guard', String(ms), ...undoWords(fault.undo)], {
    // Its own session: neither the terminal's Ctrl-C nor its end reaches it.
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text.slice(0, 1000);
  });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  for (const until = performance.now() + 10_000; !said.includes('ready'); await delay(10)) {
    if (child.exitCode === null && child.pid !== undefined && performance.now() < until) continue;
    child.stdin.end();
    throw new CliError({ code: 'drill', message: 'the process that would take the failure back did not start; nothing was done' });
  }
  const release = async (): Promise<string> => {
    child.stdin.end();
    await Promise.race([ended, delay(40_000, undefined, { ref: false })]);
    if (said.includes('undone')) return '';
    return /failed: (.*)/.exec(said)?.[1] ?? 'its process ended without a word';
  };
  let released: Promise<string> | null = null;
  return {
    release: () => {
      released ??= release();
      return released;
    },
  };
}

function silent(vip: string): CliError {
  return new CliError({
    code: 'drill',
    message: 'the address does not answer this host, so no outage could be measured; nothing was done',
    where: vip,
    hint: 'agentctl doctor; agentctl status',
  });
}
