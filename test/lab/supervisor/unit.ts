// Reads systemd unit files, as far as the lab's supervisor honours them. Pure.
//
// Honoured: Type (simple, exec, notify, oneshot), Nice, Environment, ExecStartPre, ExecStart, ExecStop, ExecStopPost, Restart, RestartSec,
// RestartPreventExitStatus, KillMode, TimeoutStopSec, StartLimitIntervalSec, StartLimitBurst, and a drop-in's right to add to or (by an empty value) reset a list.
// Not honoured, since the lab has neither systemd nor its users: dependencies, sandboxing, users, EnvironmentFile.

/** One command line, split into words; variables are not yet substituted. */
export type UnitCommand = { readonly words: readonly string[]; readonly mayFail: boolean };

/** What the supervisor needs of a service unit. Times in ms. */
export type Unit = {
  readonly oneshot: boolean;
  /** CPU priority, -20 (first) to 19. */
  readonly nice: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly startPre: readonly UnitCommand[];
  readonly start: UnitCommand;
  readonly stop: readonly UnitCommand[];
  readonly stopPost: readonly UnitCommand[];
  readonly restart: 'no' | 'always' | 'on-failure';
  readonly restartMs: number;
  /** Exit codes after which it is not started again. */
  readonly finalCodes: readonly number[];
  readonly killMode: 'control-group' | 'mixed' | 'process' | 'none';
  readonly stopTimeoutMs: number;
  /** At most `burst` starts in `intervalMs`; 0 = no limit. */
  readonly startLimit: { readonly intervalMs: number; readonly burst: number };
};

/** A unit or drop-in that cannot be read: which file, which line, why. */
export class UnitError extends Error {}

/** Merges a unit's text with its drop-ins, in this order. */
export function parseUnit(files: readonly { readonly path: string; readonly text: string }[]): Unit {
  const values = new Map<string, string[]>();
  for (const file of files) collect(file, values);
  const last = (key: string, fallback: string): string => values.get(key)?.at(-1) ?? fallback;
  const commands = (key: string): UnitCommand[] => (values.get(key) ?? []).map(parseCommand);
  const start = commands('ExecStart').at(-1);
  if (start === undefined) throw new UnitError(`${files.map((f) => f.path).join(', ')}: no ExecStart=`);
  return {
    oneshot: last('Type', 'simple') === 'oneshot',
    nice: Number(last('Nice', '0')),
    environment: parseEnvironment(values.get('Environment') ?? []),
    startPre: commands('ExecStartPre'),
    start,
    stop: commands('ExecStop'),
    stopPost: commands('ExecStopPost'),
    restart: oneOf('Restart', last('Restart', 'no'), ['no', 'always', 'on-failure']),
    restartMs: spanMs(last('RestartSec', '100ms')),
    finalCodes: splitWords(last('RestartPreventExitStatus', '')).map(Number),
    killMode: oneOf('KillMode', last('KillMode', 'control-group'), ['control-group', 'mixed', 'process', 'none']),
    stopTimeoutMs: spanMs(last('TimeoutStopSec', '90')),
    startLimit: { intervalMs: spanMs(last('StartLimitIntervalSec', '10')), burst: Number(last('StartLimitBurst', '5')) },
  };
}

/** A command's argv: `${NAME}` anywhere in a word, `$NAME` as a whole word (split at blanks), as systemd substitutes. */
export function expand(command: UnitCommand, environment: Readonly<Record<string, string | undefined>>): string[] {
  return command.words.flatMap((word) => {
    const whole = /^\$(\w+)$/.exec(word);
    if (whole !== null) return (environment[whole[1] ?? ''] ?? '').split(/\s+/).filter((w) => w !== '');
    return [word.replace(/\$\{(\w+)\}/g, (_, name: string) => environment[name] ?? '').replaceAll('$$', '$')];
  });
}

/** A time span of systemd ("100ms", "2s", "1min 30s", "5" = seconds) in ms. */
export function spanMs(text: string): number {
  const factors: Readonly<Record<string, number>> = { ms: 1, s: 1000, sec: 1000, '': 1000, min: 60_000, m: 60_000, h: 3_600_000 };
  let sum = 0;
  for (const part of text.trim().split(/\s+/)) {
    const match = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(part);
    const factor = factors[match?.[2] ?? '?'];
    if (match === null || factor === undefined) throw new UnitError(`time span "${text}": use for example 100ms, 2s, 1min`);
    sum += Number(match[1]) * factor;
  }
  return sum;
}

const lists = new Set(['Environment', 'ExecStartPre', 'ExecStart', 'ExecStop', 'ExecStopPost']);

function collect(file: { readonly path: string; readonly text: string }, values: Map<string, string[]>): void {
  const lines = file.text.replaceAll('\\\n', ' ').split('\n');
  lines.forEach((line, index) => {
    const text = line.trim();
    if (text === '' || text.startsWith('#') || text.startsWith(';') || text.startsWith('[')) return;
    const at = text.indexOf('=');
    if (at <= 0) throw new UnitError(`${file.path}: line ${index + 1}: expected KEY=VALUE`);
    const key = text.slice(0, at).trim();
    const value = text.slice(at + 1).trim();
    if (value === '') values.delete(key);
    else values.set(key, lists.has(key) ? [...(values.get(key) ?? []), value] : [value]);
  });
}

function parseCommand(text: string): UnitCommand {
  const prefix = /^[-+!@:|]*/.exec(text)?.[0] ?? '';
  if (/%[^%]/.test(text)) throw new UnitError(`"${text}": specifiers are not known to the lab; use Environment=`);
  return { words: splitWords(text.slice(prefix.length)).map((w) => w.replaceAll('%%', '%')), mayFail: prefix.includes('-') };
}

function parseEnvironment(values: readonly string[]): Record<string, string> {
  const assignments = values.flatMap(splitWords).map((word) => {
    const at = word.indexOf('=');
    if (at <= 0) throw new UnitError(`Environment: "${word}" is not NAME=VALUE`);
    return [word.slice(0, at), word.slice(at + 1)] as const;
  });
  return Object.fromEntries(assignments);
}

/** Words separated by blanks; single or double quotes keep blanks together. */
function splitWords(text: string): string[] {
  const words = text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, a?: string, b?: string) => a ?? b ?? ''));
}

function oneOf<T extends string>(key: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new UnitError(`${key}=${value}: the lab knows ${allowed.join(', ')}`);
  return found;
}
