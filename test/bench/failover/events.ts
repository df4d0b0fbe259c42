// What the agents' logs tell of a run: who claimed, gave up or lost which epoch, and when, on the machine's monotonic clock.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../lab/host.ts';
import { monoMs } from '../../lab/names.ts';

/** One line of an agent's log. `at` is monotonic ms; `fields` are the numbers and words it carries. */
export type LogEvent = {
  readonly at: number;
  readonly node: string;
  readonly event: string;
  readonly text: string;
  readonly epoch: number;
  readonly fields: Readonly<Record<string, unknown>>;
};

/** A node that held the lease, or believed so; `to` null = it was not seen to end. */
export type Holding = { readonly node: string; readonly epoch: number; readonly from: number; readonly to: number | null };

const hourMs = 3_600_000;

/** Bytes of each host's log so far: `eventsSince` reads on from there. */
export function logMarks(hosts: readonly Host[]): ReadonlyMap<string, number> {
  return new Map(hosts.map((host) => [host.name, logOf(host).length]));
}

/** All events logged since the marks were taken, oldest first. */
export function eventsSince(hosts: readonly Host[], marks: ReadonlyMap<string, number>): LogEvent[] {
  const wallToMono = monoMs() - Date.now();
  const events = hosts.flatMap((host) => {
    const text = logOf(host)
      .subarray(marks.get(host.name) ?? 0)
      .toString('utf8');
    return text.split('\n').flatMap((line) => eventOf(line, host.name, wallToMono) ?? []);
  });
  return events.sort((a, b) => a.at - b.at);
}

/** The same lines as they stand in the logs, stop hooks included, host by host. */
export function logTextSince(hosts: readonly Host[], marks: ReadonlyMap<string, number>): string {
  return hosts
    .map(
      (host) =>
        `== ${host.name}\n${logOf(host)
          .subarray(marks.get(host.name) ?? 0)
          .toString('utf8')}`,
    )
    .join('\n');
}

function logOf(host: Host): Buffer {
  try {
    return readFileSync(join(host.plan.logDir, 'agent.log'));
  } catch {
    return Buffer.alloc(0);
  }
}

function eventOf(line: string, node: string, wallToMono: number): LogEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const { time, event, msg, epoch, level: _level, agent: _agent, ...fields } = JSON.parse(line);
    return {
      at: unstepped(Date.parse(time)) + wallToMono,
      node,
      event: String(event),
      text: String(msg),
      epoch: Number(epoch ?? 0),
      fields,
    };
  } catch {
    return null; // a line cut short by kill -9
  }
}

/** A stepped wall clock is off by whole hours, a run is far shorter than one. */
function unstepped(wallMs: number): number {
  return wallMs - Math.round((wallMs - Date.now()) / hourMs) * hourMs;
}

const ends: ReadonlySet<string> = new Set(['yielding', 'lapsed', 'deposed', 'released']);

/** Spans in which nodes held the lease. `first`: who held it before the first event. */
export function holdings(
  events: readonly LogEvent[],
  first: { readonly node: string; readonly epoch: number; readonly from: number },
): Holding[] {
  const all: Holding[] = [{ ...first, to: null }];
  const close = (node: string, at: number): void => {
    const i = all.findLastIndex((h) => h.node === node && h.to === null);
    const open = all[i];
    if (open !== undefined) all[i] = { ...open, to: at };
  };
  for (const { event, node, epoch, at } of events) {
    if (event === 'claimed' || event === 'restored') all.push({ node, epoch, from: at, to: null });
    else if (ends.has(event)) close(node, at);
  }
  return all;
}

/** What breaks the rule that epochs strictly rise and none is held twice; '' = nothing. */
export function epochProblem(events: readonly LogEvent[], before: number): string {
  let highest = before;
  for (const { event, epoch, node } of events) {
    if (event !== 'claimed') continue;
    if (epoch <= highest) return `${node} claimed epoch ${epoch} after epoch ${highest}`;
    highest = epoch;
  }
  return '';
}

/** The phases that a node's history file gives for an epoch; empty when it does not know it. */
export function recordedPhases(host: Host, epoch: number): Readonly<Record<string, number>> {
  let text = '';
  try {
    text = readFileSync(join(host.plan.dataDir, 'state/history.jsonl'), 'utf8');
  } catch {
    return {}; // it recorded nothing yet
  }
  for (const line of text.split('\n').toReversed()) {
    if (!line.includes(`"epoch":${epoch},`)) continue;
    const { phasesMs } = JSON.parse(line);
    return phasesMs ?? {};
  }
  return {};
}
