// The log: JSON lines on standard output, for the journal. No transports: they would start a worker from a path that a packed executable lacks.
import { pino } from 'pino';

/** Takes one line: a stable event id, a sentence, facts. Never a secret. */
export type AgentLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  event: string,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>>,
) => void;

/** A log at `level` that names the node on every line. */
export function createLog(level: string, node: string): AgentLog {
  const logger = pino({ level, base: { agent: node }, timestamp: pino.stdTimeFunctions.isoTime });
  return (at, event, text, fields) => logger[at]({ event, ...fields }, text);
}
