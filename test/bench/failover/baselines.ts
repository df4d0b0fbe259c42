// What a user would build instead, in the same lab and run: keepalived alone with a curl check script, and nginx with passive checks.
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { macOf, monoMs } from '../../lab/names.ts';
import type { Prober } from '../../lab/prober/prober.ts';
import { openKeepalivedAlone } from './baseline-keepalived.ts';
import { openNginx } from './baseline-nginx.ts';
import { measure, type Recorded } from './figures.ts';
import { type Result, type RunDetail, resultOf, writePicture } from './report.ts';
import { timelineSvg } from './timeline.ts';

/** A baseline at work. */
export type Baseline = {
  readonly system: 'keepalived-script' | 'nginx';
  readonly lab: Lab;
  readonly prober: Prober;
  /** The host that the fault hits. */
  readonly victim: Host;
  /** Without a VIP there are no owners, and no keepalived to freeze. */
  readonly hasVip: boolean;
};

/** What to run. */
export type BaselinePlan = {
  readonly runs: number;
  readonly names: readonly string[];
  readonly short: boolean;
  readonly pictures: string;
  readonly add: (result: Result) => void;
  readonly say: (line: string) => void;
};

type BaselineFault = {
  readonly name: string;
  readonly needsVip?: true;
  inject(b: Baseline, looked: (ms: number) => Promise<void>): Promise<number>;
  heal?(b: Baseline): Promise<void>;
};

const faults: readonly BaselineFault[] = [
  {
    name: 'host-dead',
    inject: (b) => b.lab.killHost(b.victim),
    heal: (b) => b.lab.reviveHost(b.victim),
  },
  {
    name: 'link-cut',
    inject: (b) => b.lab.linkDown(b.victim),
    heal: async (b) => void (await b.lab.linkUp(b.victim)),
  },
  { name: 'ollama-kill', inject: (b) => b.victim.service('ollama').kill() },
  {
    name: 'ollama-hang',
    inject: (b) => b.victim.service('ollama').freeze(),
    heal: (b) => b.victim.service('ollama').thaw(),
  },
  {
    name: 'keepalived-frozen',
    needsVip: true,
    inject: async (b, looked) => {
      const at = await b.victim.service('keepalived').freeze();
      await looked(10_000);
      return at;
    },
    heal: (b) => b.victim.service('keepalived').thaw(),
  },
  {
    name: 'cut-healed',
    inject: async (b, looked) => {
      await b.lab.shutPort(b.victim);
      await looked(10_000);
      return b.lab.openPort(b.victim);
    },
  },
];

const quietMs = 1000;

/** Runs each baseline's cases; only those named, if any are. */
export async function runBaselines(plan: BaselinePlan): Promise<void> {
  const wanted = faults.filter((fault) => plan.names.length === 0 || plan.names.includes(fault.name));
  for (const open of [openKeepalivedAlone, openNginx]) {
    if (wanted.length === 0) continue;
    const baseline = await open();
    try {
      for (const fault of wanted) if (baseline.hasVip || !fault.needsVip) plan.add(await runCase(plan, baseline, fault));
    } finally {
      await baseline.prober.stop();
      baseline.lab.destroy();
    }
  }
}

async function runCase(plan: BaselinePlan, b: Baseline, fault: BaselineFault): Promise<Result> {
  const details: RunDetail[] = [];
  for (let n = 1; n <= plan.runs; n += 1) {
    const detail = await runOnce(plan, b, fault, n);
    plan.say(
      `${b.system} ${fault.name} ${n}/${plan.runs}: outage ${detail.outageMs ?? `> ${detail.lookedMs}`} ms, after heal ${detail.healOutageMs ?? '> window'} ms, ${detail.failedRequests} failed, two owners ${detail.twoOwnersMs.toFixed(0)} ms`,
    );
    details.push(detail);
  }
  return resultOf(b.system, fault.name, '', details);
}

async function runOnce(plan: BaselinePlan, b: Baseline, fault: BaselineFault, n: number): Promise<RunDetail> {
  await settled(b, 90_000);
  b.prober.forget();
  const startedAt = monoMs();
  const windowMs = plan.short ? 10_000 : 40_000;
  await delay(1000 + Math.random() * 2000);
  const faultAt = await fault.inject(b, (ms) => delay(plan.short ? ms / 3 : ms));
  // It counts as recovered once the clients were served without a failure for a while; else the window ends it.
  await delay(1500);
  await b.prober.steady({ after: monoMs() - quietMs, quietMs: 3000, timeoutMs: windowMs }).catch(() => undefined);
  const healedAt = fault.heal ? monoMs() : Number.POSITIVE_INFINITY;
  await fault.heal?.(b);
  await delay(1500);
  await b.prober.steady({ after: monoMs() - quietMs, quietMs: 3000, timeoutMs: windowMs }).catch(() => undefined);
  const endedAt = monoMs();
  const requests = b.prober.requests.filter((r) => r.at >= startedAt);
  const answers = b.prober.answers.filter((a) => a.at >= startedAt);
  const seen: Recorded = { requests, answers, faultAt, healedAt };
  const measures = measure(seen, fault.name === 'keepalived-frozen' ? 'first failure' : 'fault');
  const finite = (value: number): number | null => (Number.isFinite(value) ? Math.round(value) : null);
  const picture = { startedAt, faultAt, healedAt, endedAt, requests, answers, events: [], holdings: [] };
  const hosts = b.lab.hosts.map(({ name }, i) => ({ name, mac: macOf(i + 1) }));
  writePicture(
    plan.pictures,
    `${b.system}-${fault.name}-${n}`,
    timelineSvg(picture, { title: `${b.system}, ${fault.name}, run ${n}`, hosts }),
  );
  return {
    outageMs: finite(measures.outageMs),
    lookedMs: Math.round(Math.min(healedAt, endedAt) - faultAt),
    healOutageMs: finite(measures.healOutageMs),
    twoOwnersMs: measures.twoOwnersMs,
    failedRequests: measures.failedRequests,
    moved: false,
    from: b.victim.name,
    to: '',
    epochBefore: 0,
    epochs: [],
    phases: null,
    problem: '',
  };
}

/** Waits until clients are served, and by the victim where an address moves: a master that preempts is back by then. */
async function settled(b: Baseline, timeoutMs: number): Promise<void> {
  const deadline = monoMs() + timeoutMs;
  // nginx leaves a failed upstream out for 10 s, whatever became of it.
  if (!b.hasVip) await delay(11_000);
  for (;;) {
    await b.prober.steady({ after: monoMs(), quietMs: 2000, timeoutMs: Math.max(1, deadline - monoMs()) });
    const owner = b.prober.answers.at(-1)?.mac ?? '';
    if (!b.hasVip || b.lab.hostByMac(owner) === b.victim.name) return;
    if (monoMs() > deadline) throw new Error(`${b.system}: ${b.victim.name} did not get the VIP back`);
    await delay(200);
  }
}
