// Keeps nginx' upstream file as wanted: write and rename, `nginx -t`, reload. What nginx refuses is taken back, and tried again later.
import { execFile } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { NginxView } from '../../agent/ports.ts';
import type { UpstreamServer } from '../../core/balance/upstream.ts';
import { upstreamText } from './render.ts';

/** Where the file is and how nginx is run. `config` null: the one built into nginx. */
export type NginxOptions = {
  readonly file: string;
  readonly upstream: string;
  readonly port: number;
  readonly program: string;
  readonly config: string | null;
  readonly log: (level: 'info' | 'error', event: string, text: string) => void;
};

/** A running driver. */
export interface NginxDriver {
  /** Level triggered: the newest list wins; cheap when nothing changed. */
  apply(servers: readonly UpstreamServer[]): void;
  view(): NginxView;
  close(): Promise<void>;
}

const RUN_MS_MAX = 5000;
const RETRY_MS = 2000;
/** Between two reloads: each costs nginx a generation of workers. */
const PAUSE_MS = 300;
const TEXT_MAX = 300;
const FILE_BYTES_MAX = 65_536;

/** Opens it; nothing is written before the first `apply` with a server. */
export function openNginx(options: NginxOptions): NginxDriver {
  const ending = new AbortController();
  let wanted = '';
  let done = '';
  let count = 0;
  let problem = '';
  let reloads = 0;
  let working: Promise<void> | null = null;

  async function work(): Promise<void> {
    while (wanted !== done && !ending.signal.aborted) {
      const text = wanted;
      const why = await install(options, text, ending.signal);
      if (ending.signal.aborted) break;
      if (why === '') {
        done = text;
        reloads += 1;
        if (problem !== '') options.log('info', 'nginx_ok', 'nginx takes the upstream file again');
        else options.log('info', 'nginx_reloaded', `${options.file}: ${count} servers`);
      } else if (why !== problem) options.log('error', 'nginx_failed', why);
      problem = why;
      await delay(why === '' ? PAUSE_MS : RETRY_MS, undefined, { signal: ending.signal }).catch(() => undefined);
    }
    working = null;
  }

  return {
    apply(servers) {
      if (servers.length === 0 || ending.signal.aborted) return;
      wanted = upstreamText(options.upstream, options.port, servers);
      count = servers.length;
      if (wanted !== done) working ??= work();
    },
    view: () => ({ problem, reloads, servers: count }),
    async close() {
      ending.abort();
      await working;
    },
  };
}

/** '' when nginx runs with this text; else what went wrong. A text that nginx refuses does not stay. */
async function install(options: NginxOptions, text: string, signal: AbortSignal): Promise<string> {
  const { file, program, config } = options;
  const args = config === null ? [] : ['-c', config];
  try {
    const before = readIfAny(file);
    if (before !== text) put(file, text);
    const tested = await run(program, ['-t', '-q', ...args], signal);
    if (tested !== '') {
      if (before === null) rmSync(file, { force: true });
      else put(file, before);
      return `nginx -t refuses the new upstream file, the last one is kept: ${tested}`;
    }
  } catch (error) {
    return `the upstream file cannot be written: ${error instanceof Error ? error.message : String(error)}`.slice(0, TEXT_MAX);
  }
  const reloaded = await run(program, ['-q', '-s', 'reload', ...args], signal);
  return reloaded === '' ? '' : `nginx cannot be reloaded: ${reloaded}`;
}

function readIfAny(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').slice(0, FILE_BYTES_MAX);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

// nginx' usual include is *.conf: the name of the temporary file must not match it.
function put(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** '' or the first line of what it complains about. */
function run(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: RUN_MS_MAX, killSignal: 'SIGKILL', maxBuffer: FILE_BYTES_MAX, signal } as const;
    execFile(program, [...args], options, (error, _out, err) => {
      if (error === null) return resolve('');
      const lines = err.split('\n').filter((line) => line.trim() !== '');
      const said = lines.find((line) => line.includes('[emerg]')) ?? lines.find((line) => line.includes('[error]')) ?? lines[0];
      resolve((error.killed ? `${program} did not end within ${RUN_MS_MAX} ms` : (said ?? error.message)).slice(0, TEXT_MAX));
    });
  });
}
