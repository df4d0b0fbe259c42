// One case, once: a healthy lab, clients and an ARP probe at work, the fault at a random phase, its end, and a healthy lab again.
import { setTimeout as delay } from 'node:timers/promises';
import { askSwitchover, untilAllWell, untilStatus } from '../../lab/ask.ts';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { macOf, monoMs } from '../../lab/names.ts';
import { prioritise } from '../../lab/priority.ts';
import type { Prober } from '../../lab/prober/prober.ts';
import type { ArpRecord, RequestRecord } from '../../lab/prober/records.ts';
import { createProductLab } from '../../lab/product-lab.ts';
import { epochProblem, eventsSince, type Holding, holdings, type LogEvent, logMarks, logTextSince, recordedPhases } from './events.ts';
import { type Measures, measure, type Phases, phasesOf } from './figures.ts';
import { prepareRedis } from './prepared.ts';
import type { FaultCase, Scene } from './scene.ts';
import type { Timing } from './timing.ts';

/** A lab at work: with its probers, reused from run to run. */
export type Session = AsyncDisposable & { readonly lab: Lab; readonly prober: Prober; readonly timing: Timing };

/** What a run left behind. Times are monotonic ms. */
export type Run = Measures & {
  readonly fault: string;
  readonly from: string;
  readonly to: string;
  /** Epochs that were claimed after the fault, with who claimed them. */
  readonly epochs: readonly { readonly epoch: number; readonly node: string; readonly cause: string }[];
  readonly epochBefore: number;
  readonly phases: Phases;
  /** What contradicts the invariants or the case; '' = nothing. */
  readonly problem: string;
  readonly startedAt: number;
  readonly faultAt: number;
  readonly healedAt: number;
  readonly endedAt: number;
  readonly requests: readonly RequestRecord[];
  readonly answers: readonly ArpRecord[];
  readonly events: readonly LogEvent[];
  readonly holdings: readonly Holding[];
  /** The agents' logs of the run. */
  readonly log: string;
};

/** Nice= of the agent's unit. */
const agentNice = -10;
const quietMs = 700;
/** A former holder does not claim for a second after its release (src/core/lease/yielding.ts). */
const formerHolderMs = 1000;
const recoverMs = 20_000;
const wellMs = 45_000;

/** Builds a lab of three hosts for cases of this kind and waits until it is healthy. */
export async function openSession(id: string, kind: FaultCase['lab'], timing: Timing): Promise<Session> {
  const lab = await createProductLab({ id, nodes: 3, preset: timing.preset, steppableClock: kind === 'prepared' });
  try {
    await untilAllWell(lab, wellMs);
    if (kind === 'prepared') {
      await prepareRedis(lab);
      await untilAllWell(lab, wellMs);
    }
    const prober = lab.prober({ everyMs: 5 });
    const close = async (): Promise<void> => {
      await prober.stop();
      lab.destroy();
    };
    return { lab, prober, timing, [Symbol.asyncDispose]: close };
  } catch (error) {
    lab.destroy();
    throw error;
  }
}

/** Runs a case once. Rejects when the lab does not get well again, or the fault cannot be made; then the lab is not to be used any more. */
export async function runFault(session: Session, fault: FaultCase, short: boolean): Promise<Run> {
  const { lab, prober, timing } = session;
  const before = await untilAllWell(lab, wellMs);
  await Promise.all(lab.hosts.map(shareOfRedis));
  prober.forget();
  await prober.steady({ after: monoMs(), quietMs: 300, timeoutMs: recoverMs });
  const marks = logMarks(lab.hosts);
  const scene = sceneOf(session, before.holder, short);
  const startedAt = monoMs();
  // Any phase of renewals, polls and heartbeats; and the holder of the run before is no longer held back from claiming.
  await delay(formerHolderMs + Math.random() * 2 * timing.renewMs);
  const faultAt = await fault.inject(scene);
  const problems: string[] = [];
  const note = async (step: Promise<void>): Promise<void> => step.catch((error: Error) => void problems.push(error.message));
  await note(felt(session, fault, scene, faultAt));
  const healedAt = fault.heal ? monoMs() : Number.POSITIVE_INFINITY;
  if (fault.heal) {
    await fault.heal(scene);
    await note(prober.steady({ after: monoMs() + 300, quietMs, timeoutMs: recoverMs }));
  }
  const after = await untilAllWell(lab, wellMs);
  const endedAt = monoMs();
  const requests = prober.requests.filter((r) => r.at >= startedAt);
  const answers = prober.answers.filter((a) => a.at >= startedAt);
  const events = eventsSince(lab.hosts, marks);
  await fault.reset?.(scene);
  const seen = { requests, answers, faultAt, healedAt };
  const measures = measure(seen, fault.from);
  const macs = new Map(lab.hosts.map((host, i) => [host.name, macOf(i + 1)]));
  const claims = events.filter((e) => e.event === 'claimed');
  if (measures.twoOwnersMs > 0) problems.push(`two hosts answered for the VIP for ${measures.twoOwnersMs.toFixed(0)} ms`);
  problems.push(epochProblem(events, before.epoch));
  if (fault.role === 'moves' && claims.length === 0) problems.push('the role did not move');
  if (fault.role === 'stays' && claims.length > 0) problems.push(`the role moved to ${claims.map((c) => c.node).join(', ')}`);
  return {
    ...measures,
    fault: fault.name,
    from: before.holder.name,
    to: after.holder.name,
    epochs: claims.map(({ epoch, node, fields }) => ({ epoch, node, cause: String(fields.cause ?? '') })),
    epochBefore: before.epoch,
    phases: phasesOf(
      events,
      seen,
      (node) => macs.get(node) ?? '',
      (node, epoch) => recordedPhases(lab.host(node), epoch),
    ),
    problem: problems.filter((text) => text !== '').join('; '),
    startedAt,
    faultAt,
    healedAt,
    endedAt,
    requests,
    answers,
    events,
    log: logTextSince(lab.hosts, marks),
    holdings: holdings(events, { node: before.holder.name, epoch: before.epoch, from: startedAt }),
  };
}

/** The managed Redis belongs to the agent's unit, and has its share of the CPU. */
async function shareOfRedis(host: Host): Promise<void> {
  for (const pid of await host.service('redis').pids()) prioritise(pid, agentNice);
}

/** Waits until the fault has had its effect: the role moved where it must, its time is over, and the clients are served. */
async function felt(session: Session, fault: FaultCase, scene: Scene, faultAt: number): Promise<void> {
  if (fault.role === 'moves') await scene.moved();
  const lastsMs = fault.lastsMs?.(scene) ?? 0;
  await delay(Math.max(0, faultAt + lastsMs - monoMs()));
  const after = fault.role === 'moves' ? monoMs() - quietMs : faultAt;
  await session.prober.steady({ after, quietMs, timeoutMs: recoverMs });
}

function sceneOf(session: Session, holder: Host, short: boolean): Scene {
  const others = session.lab.hosts.filter((host) => host !== holder);
  const moved = async (): Promise<void> => {
    await untilStatus(others, 'another active', (s) => s.holder !== '' && s.holder !== holder.name, recoverMs);
  };
  return {
    lab: session.lab,
    holder,
    others,
    timing: session.timing,
    short,
    moved,
    switchover: async () => {
      const reply = await askSwitchover(holder);
      if (reply.outcome !== 'done') throw new Error(`switchover: ${reply.outcome}: ${reply.text}`);
    },
  };
}
