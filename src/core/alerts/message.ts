// From a neutral notice to the message that people read: a title, lines of label and value, a link.
import type { HistoryEntry } from '../io.ts';
import { causeOf, timelineOf, totalMsOf } from './report.ts';
import { ruleOf } from './rules.ts';
import type { Language, Notice, Severity } from './types.ts';
import { fill, type Words, wordsOf } from './words.ts';

/** A message before it takes the form of a channel. */
export type Message = {
  readonly title: string;
  readonly severity: Severity;
  readonly resolved: boolean;
  readonly lines: readonly { readonly label: string; readonly value: string }[];
};

/** How a message is worded. `time` writes a wall-clock time (ms); the core has no calendar. */
export type Wording = { readonly language: Language; readonly runbooks: string; readonly time: (wallMs: number) => string };

/** The message of a notice. */
export function messageOf(notice: Notice, wording: Wording): Message {
  const words = wordsOf(wording.language);
  const cluster = { label: words.labels.cluster, value: notice.cluster };
  const sentBy = { label: words.labels.sentBy, value: `${notice.node}, ${wording.time(notice.atMs)}` };
  switch (notice.k) {
    case 'test':
      return { title: fill(words.test, { by: notice.by }), severity: notice.severity, resolved: false, lines: [cluster, sentBy] };
    case 'report':
      return reportMessage(notice.entry, notice.severity, [cluster, sentBy], words, wording);
    case 'alert': {
      const text = words.alerts[notice.name];
      const args = { subject: notice.subject, ...notice.args };
      const resolved = notice.state === 'resolved';
      const title = text === undefined ? notice.name : fill(text.title, args);
      const began = { label: words.labels.since, value: wording.time(notice.sinceMs) };
      const lasted = { label: words.labels.lasted, value: lastedText(notice.atMs - notice.sinceMs) };
      const check = { label: words.labels.check, value: text === undefined ? 'agentctl status' : fill(text.check, args) };
      const runbook = { label: words.labels.runbook, value: `${wording.runbooks}#${ruleOf(notice.name)?.runbook ?? 'node-died'}` };
      return {
        title: resolved ? `${words.resolved}: ${title}` : title,
        severity: notice.severity,
        resolved,
        lines: resolved ? [cluster, began, lasted, sentBy] : [cluster, began, check, runbook, sentBy],
      };
    }
  }
}

function reportMessage(entry: HistoryEntry, severity: Severity, ends: Message['lines'], words: Words, wording: Wording): Message {
  const { labels } = words;
  const names = { to: entry.to === '' ? words.nobody : entry.to, from: entry.from === '' ? words.nobody : entry.from };
  const title = entry.cause === 'missed' ? words.missed : fill(entry.from === entry.to ? words.again : words.moved, names);
  const cause = words.causes[entry.cause] ?? entry.cause;
  const total = totalMsOf(entry);
  const steps = timelineOf(entry).map((step) => `+${step.fromMs} ms ${words.phases[step.phase] ?? step.phase} (${step.ms} ms)`);
  return {
    title,
    severity,
    resolved: false,
    lines: [
      ...ends.slice(0, 1),
      { label: labels.cause, value: entry.reason === '' ? cause : `${cause}; ${entry.reason}` },
      ...(entry.by === '' ? [] : [{ label: labels.by, value: entry.by }]),
      { label: labels.since, value: wording.time(entry.atMs) },
      ...(total === null ? [] : [{ label: labels.total, value: `${total} ms` }]),
      ...(steps.length === 0 ? [] : [{ label: labels.timeline, value: steps.join(' -> ') }]),
      { label: labels.check, value: 'agentctl status; agentctl history' },
      { label: labels.runbook, value: `${wording.runbooks}#${causeOf(entry.cause).runbook}` },
      ...ends.slice(1),
    ],
  };
}

/** The same title as one line, for `agentctl alerts list`. */
export function titleOf(name: string, subject: string, args: Readonly<Record<string, string | number>>): string {
  const text = wordsOf('en').alerts[name];
  return text === undefined ? name : fill(text.title, { subject, ...args });
}

function lastedText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
