// The log: JSON lines on standard output, for the journal. No transports: they would start a worker from a path that a packed executable lacks.
import { pino } from 'pino';
import { readMono } from './agent/clock.ts';
import type { CommandOutcome } from './agent/control.ts';
import { createLogLimit } from './log-limit.ts';
import { prettyLine } from './log-pretty.ts';

/** Takes one line: a stable event id (log-events.ts), a sentence, facts. Never a secret. */
export type AgentLog = (level: LogLevel, event: string, text: string, fields: Readonly<Record<string, string | number | boolean>>) => void;

/** Levels, the most talkative first. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** The open log. */
export type OpenLog = {
  readonly log: AgentLog;
  /** Another level from now on, for `forMs` (0 = until the agent ends); '' = back to the configured one. */
  readonly setLevel: (order: { readonly level: LogLevel | ''; readonly forMs: number; readonly by: string }) => CommandOutcome;
};

/** Options of the log. `write` takes whole lines; default: standard output. */
export type LogOptions = {
  readonly level: LogLevel;
  readonly node: string;
  /** For people at a terminal. */
  readonly pretty?: boolean;
  readonly write?: (line: string) => void;
};

// How often it is looked whether lines were left out that nothing has told of.
const TELL_MS = 60_000;

/** A log that names the node on every line. */
export function openLog(options: LogOptions): OpenLog {
  const { node, pretty = false } = options;
  const write = options.write ?? ((line: string) => void process.stdout.write(line));
  const settings = { level: options.level, base: { agent: node }, timestamp: pino.stdTimeFunctions.isoTime };
  // Without a stream of ours pino writes to the descriptor itself, at once: a crash loses no line.
  const logger =
    pretty || options.write !== undefined
      ? pino(settings, { write: (line: string) => write(pretty ? prettyLine(line) : line) })
      : pino(settings);
  const limit = createLogLimit();
  let telling: NodeJS.Timeout | null = null;
  let back: NodeJS.Timeout | null = null;

  function log(level: LogLevel, event: string, text: string, fields: Readonly<Record<string, string | number | boolean>>): void {
    if (!logger.isLevelEnabled(level)) return;
    // Who asked for everything gets everything.
    if (level === 'debug') {
      logger.debug({ event, ...fields }, text);
      return;
    }
    const about = fields.node ?? fields.server ?? fields.channel ?? fields.path ?? '';
    const { write: admitted, repeated } = limit.admit(`${event} ${about}`, readMono());
    if (admitted) logger[level](repeated > 0 ? { event, ...fields, repeated } : { event, ...fields }, text);
    else tellLater();
  }

  // What stops repeating would otherwise never be counted.
  function tellLater(): void {
    if (telling !== null) return;
    telling = setTimeout(() => {
      telling = null;
      for (const { key, repeated } of limit.takeSuppressed(readMono())) {
        const [event = ''] = key.split(' ');
        logger.warn({ event: 'log_suppressed', of: event, repeated }, `${repeated} more lines of ${key.trim()} were left out`);
      }
    }, TELL_MS + 1000).unref();
  }

  return {
    log,
    setLevel({ level, forMs, by }) {
      if (back !== null) clearTimeout(back);
      back = null;
      const next = level === '' ? options.level : level;
      logger.level = next;
      if (level !== '' && forMs > 0) {
        back = setTimeout(() => {
          logger.level = options.level;
        }, forMs).unref();
      }
      logger[next]({ event: 'log_level', level: next, by }, `the log level is ${next}`);
      const text = `the level is ${next}${back === null ? '' : ` for ${Math.round(forMs / 1000)} s, then ${options.level}`}`;
      return { outcome: 'done', text, vetoes: [], epoch: 0, phasesMs: {} };
    },
  };
}
