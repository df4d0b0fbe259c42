// How the fake is set up: fields for tests, flags and environment for the program.
import { parseArgs } from 'node:util';
import { type Faults, faultsOf } from './faults.ts';
import { goDurationMs } from './go.ts';

/** Everything a server needs. Times in ms. */
export type FakeOptions = {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly store: string;
  /** Port of the control interface on 127.0.0.1; null = none, 0 = any. */
  readonly controlPort: number | null;
  readonly version: string;
  /** Negative or huge = for ever. */
  readonly keepAliveMs: number;
  readonly numParallel: number;
  readonly contextLength: number;
  readonly maxQueue: number;
  readonly maxLoaded: number;
  /** Memory of the device. */
  readonly vramBytes: number;
  readonly loadTimeoutMs: number;
  readonly noPrune: boolean;
  /** The port accepts, HTTP is silent this long. */
  readonly startDelayMs: number;
  readonly loadMs: number;
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  /** How long a runner outlives a killed server; 0 = for ever, as the real one. */
  readonly orphanMs: number;
  /** Age from which the start-up prune takes unreferenced files; 0 = before 0.21. */
  readonly pruneGraceMs: number;
  /** How long a runner may be silent before it is taken for dead; doubled while a stream is open. */
  readonly pingMs: number;
  readonly faults: Partial<Faults>;
};

/** keep_alive -1 in ms: about 292 years, the longest duration of Go. */
export const FOREVER_MS = 9_223_372_036_854;

/** Small and quick, for tests: any port of loopback, no control port. */
export const DEFAULTS: Omit<FakeOptions, 'store'> = {
  host: '127.0.0.1',
  port: 0,
  controlPort: null,
  version: '0.33.0-rc2',
  keepAliveMs: 300_000,
  numParallel: 1,
  contextLength: 4096,
  maxQueue: 512,
  maxLoaded: 3,
  vramBytes: Number.MAX_SAFE_INTEGER,
  loadTimeoutMs: 300_000,
  noPrune: false,
  startDelayMs: 0,
  loadMs: 20,
  firstTokenMs: 2,
  tokenMs: 2,
  orphanMs: 5000,
  pruneGraceMs: 3_600_000,
  pingMs: 10_000,
  faults: {},
};

/** Options of the program from its arguments and environment. Throws an `Error` with one clear text. */
export function programOptions(argv: readonly string[], env: NodeJS.ProcessEnv): FakeOptions {
  const { values } = parseArgs({ args: [...argv], options: FLAGS, strict: true });
  const bound = bindOf(env.OLLAMA_HOST ?? '');
  const faults = values.fault === undefined ? {} : faultsOf(JSON.parse(values.fault));
  if (typeof faults === 'string') throw new Error(`--fault: ${faults}`);
  return {
    ...DEFAULTS,
    host: values.host ?? bound.host,
    port: whole('--port', values.port) ?? bound.port,
    store: values.store ?? env.OLLAMA_MODELS?.trim() ?? `${env.HOME ?? '/root'}/.ollama/models`,
    controlPort: whole('--control', values.control) ?? null,
    version: values.version ?? DEFAULTS.version,
    keepAliveMs: keepAliveOf(env.OLLAMA_KEEP_ALIVE) ?? DEFAULTS.keepAliveMs,
    numParallel: whole('OLLAMA_NUM_PARALLEL', env.OLLAMA_NUM_PARALLEL) || DEFAULTS.numParallel,
    contextLength: whole('OLLAMA_CONTEXT_LENGTH', env.OLLAMA_CONTEXT_LENGTH) || DEFAULTS.contextLength,
    maxQueue: whole('OLLAMA_MAX_QUEUE', env.OLLAMA_MAX_QUEUE) || DEFAULTS.maxQueue,
    maxLoaded: whole('OLLAMA_MAX_LOADED_MODELS', env.OLLAMA_MAX_LOADED_MODELS) || DEFAULTS.maxLoaded,
    loadTimeoutMs: goDurationMs(env.OLLAMA_LOAD_TIMEOUT ?? '') || DEFAULTS.loadTimeoutMs,
    noPrune: truthy(env.OLLAMA_NOPRUNE),
    startDelayMs: whole('--start-delay', values['start-delay']) ?? 0,
    loadMs: whole('--load-ms', values['load-ms']) ?? DEFAULTS.loadMs,
    firstTokenMs: whole('--first-token-ms', values['first-token-ms']) ?? DEFAULTS.firstTokenMs,
    tokenMs: whole('--token-ms', values['token-ms']) ?? DEFAULTS.tokenMs,
    orphanMs: whole('--orphan-ms', values['orphan-ms']) ?? DEFAULTS.orphanMs,
    pruneGraceMs: whole('--prune-grace-ms', values['prune-grace-ms']) ?? DEFAULTS.pruneGraceMs,
    vramBytes: whole('--vram-bytes', values['vram-bytes']) ?? DEFAULTS.vramBytes,
    pingMs: whole('--ping-ms', values['ping-ms']) ?? DEFAULTS.pingMs,
    faults,
  };
}

const TEXT = { type: 'string' } as const;
const FLAGS = {
  host: TEXT,
  port: TEXT,
  store: TEXT,
  control: TEXT,
  version: TEXT,
  fault: TEXT,
  'start-delay': TEXT,
  'load-ms': TEXT,
  'first-token-ms': TEXT,
  'token-ms': TEXT,
  'orphan-ms': TEXT,
  'prune-grace-ms': TEXT,
  'vram-bytes': TEXT,
  'ping-ms': TEXT,
} as const;

/** ms of a keep_alive: a number of seconds, or a duration; negative = for ever. undefined = not given or not readable. */
export function keepAliveOf(value: unknown): number | undefined {
  const ms = typeof value === 'number' ? value * 1000 : typeof value === 'string' && value !== '' ? goDurationMs(value) : null;
  if (ms === null) return undefined;
  return ms < 0 ? FOREVER_MS : ms;
}

function bindOf(text: string): { host: string; port: number } {
  const plain = text.trim().replace(/^https?:\/\//, '');
  const match = /^(.*?)(?::(\d+))?$/.exec(plain);
  return { host: match?.[1] || '127.0.0.1', port: Number(match?.[2] ?? 11434) };
}

function whole(what: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${what}: not a whole number: ${text}`);
  return value;
}

/** Any text that is not a clear no counts as yes, as in Ollama. */
function truthy(text: string | undefined): boolean {
  return text !== undefined && text !== '' && !/^(0|f|false)$/i.test(text);
}
