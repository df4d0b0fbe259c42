// One failure, once: made on the holder, found by name, acted on as the table says, healed, and the cluster well again.
import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReply } from '../../../src/gen/control.ts';
import { untilStatus } from '../../lab/ask.ts';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { monoMs } from '../../lab/names.ts';
import { eventsSince, logMarks } from '../failover/events.ts';
import type { HealthCase } from './case.ts';
import { allHot, fault, moved, users } from './patient.ts';

function standbyOf(lab: Lab, holder: Host): Host {
  const standby = lab.hosts.find((host) => host !== holder);
  if (standby === undefined) throw new Error('a lab of one node has no standby');
  return standby;
}

/** What happened. `detectMs` and `movedMs` from the injection; `movedMs` null = the role stayed. */
export type Found = {
  readonly detectMs: number;
  readonly verdict: string;
  readonly movedMs: number | null;
  readonly claims: number;
  /** What came of remedies. */
  readonly remedied: readonly string[];
};

const extraMs = 15_000;
/** A role that must stay is watched for this long. */
const stayMs = 1500;

/** Runs a case. Rejects when it is not found, when the role does not do what it should, or the cluster does not get well. */
export async function runCase(lab: Lab, failure: HealthCase): Promise<Found> {
  const holder = await allHot(lab);
  const marks = logMarks(lab.hosts);
  const patient = failure.standby === true ? standbyOf(lab, holder) : holder;
  let at = monoMs();
  try {
    at = await failure.inject(lab, patient);
    const limitMs = failure.limitMs + extraMs;
    const named = (s: StatusReply): boolean =>
      s.nodes.some((row) => row.node === patient.name && row.ollamaKind === failure.kind && row.ollamaReason.includes(failure.says ?? ''));
    await untilStatus([patient], `${patient.name} finds ${failure.kind} "${failure.says ?? ''}"`, named, limitMs);
    const { warns } = failure;
    if (warns !== undefined)
      await untilStatus([patient], `status warns of "${warns}"`, (s) => s.warnings.some((text) => text.includes(warns)), limitMs);
    if (failure.moves) await moved(lab, holder, extraMs);
    else await delay(stayMs);
  } finally {
    await failure.heal(lab, patient);
  }
  await allHot(lab);
  const events = eventsSince(lab.hosts, marks);
  const found = events.find((e) => e.node === patient.name && e.fields.kind === failure.kind);
  const claims = events.filter((e) => e.event === 'claimed');
  if (!failure.moves && claims.length > 0) throw new Error(`${failure.id}: the role moved to ${claims[0]?.node}, and should have stayed`);
  const up = events.find((e) => e.event === 'vip_on' && e.at >= at);
  return {
    detectMs: (found?.at ?? monoMs()) - at,
    verdict: found?.text ?? '',
    movedMs: failure.moves ? (up?.at ?? monoMs()) - at : null,
    claims: claims.length,
    remedied: events.filter((e) => e.event === 'remedied').map((e) => e.text),
  };
}

/** What a storm of users did to the cluster. */
export type Storm = { readonly answers: number; readonly failed: number; readonly failovers: number; readonly alarms: readonly string[] };

/** Many streams of slow tokens at the VIP for a while. Alarms: words of any node's health that call it unfit or down. */
export async function storm(lab: Lab, vip: string, seconds: number, streams = 64): Promise<Storm> {
  await allHot(lab);
  for (const host of lab.hosts) await fault(host, '/fault', { tokenMs: 40, firstTokenMs: 300 });
  const marks = logMarks(lab.hosts);
  const crowd = users(lab, vip, 'one', streams, seconds);
  const told = await crowd.told;
  const events = eventsSince(lab.hosts, marks);
  await crowd.end();
  for (const host of lab.hosts) await fault(host, '/clear', {});
  const bad = new Set([
    'hung-runner',
    'stalled-stream',
    'gpu-hang',
    'scheduler-deadlock',
    'server-hung',
    'process-dead',
    'runner-errors',
    'gpu-lost',
    'stuck-unload',
    'crash-loop',
    'runner-crash-loop',
    'list-broken',
    'http-error',
  ]);
  return {
    ...told,
    failovers: events.filter((e) => e.event === 'claimed').length,
    alarms: events.filter((e) => bad.has(String(e.fields.kind))).map((e) => `${e.node}: ${e.text}`),
  };
}
