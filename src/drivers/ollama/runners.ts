// The runner processes of one Ollama, found in /proc by their arguments: a `llama-server` (before 0.30 `ollama runner`) whose --model lies in the
// store of this Ollama. World-readable, so it needs no capability. Each is asked its own /health: that thread answers while the runner computes,
// and is silent when the process is frozen. Nothing here goes through Ollama, so nothing is loaded, and nothing waits behind its scheduler.
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename } from 'node:path';
import type { RunnerSeen } from '../../core/health/types.ts';

/** A runner process. Times in clock ticks. */
export type RunnerProcess = {
  readonly pid: number;
  readonly parent: number;
  readonly startedAt: number;
  readonly port: number;
  readonly weights: string;
  readonly state: string;
  readonly cpuTicks: number;
};

const NAMES: ReadonlySet<string> = new Set(['llama-server', 'ollama']);
const CMDLINE_MAX = 16_384;
const RUNNERS_MAX = 32;
const REPLY_MAX = 4096;

// The kernel answers these from memory at once: a thread for each would cost more than the read. Arguments are another matter: they lie in the
// memory of the process, and the read waits with it.
function readKernel(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** What /proc/PID/stat tells; null when there is no such process. */
export function processStat(
  pid: number,
): { readonly parent: number; readonly state: string; readonly startedAt: number; readonly cpuTicks: number } | null {
  const text = readKernel(`/proc/${pid}/stat`);
  // The name may hold blanks and brackets: fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parent] = fields;
  if (state === undefined || parent === undefined || fields.length < 20) return null;
  return { state, parent: Number(parent), startedAt: Number(fields[19]), cpuTicks: Number(fields[11]) + Number(fields[12]) };
}

function allPids(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** All runners whose weights lie below `blobs` (a directory). `others`: how often a pid was found to be something else. */
export async function findRunners(blobs: string, others: Map<number, number> = new Map()): Promise<readonly RunnerProcess[]> {
  const pids = allPids();
  const living = new Set(pids);
  for (const pid of others.keys()) if (!living.has(pid)) others.delete(pid);
  const found: RunnerProcess[] = [];
  for (const pid of pids) {
    // Twice: one that was about to become another program when it was looked at is seen again.
    const looks = others.get(pid) ?? 0;
    if (looks >= 2) continue;
    if (!NAMES.has(readKernel(`/proc/${pid}/comm`).trim())) {
      others.set(pid, looks + 1);
      continue;
    }
    const runner = await runnerOf(pid, blobs);
    if (runner !== null) found.push(runner);
    if (found.length >= RUNNERS_MAX) break;
  }
  return found;
}

async function runnerOf(pid: number, blobs: string): Promise<RunnerProcess | null> {
  const args = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).slice(0, CMDLINE_MAX).split('\0');
  const model = after(args, '--model') ?? after(args, '-m');
  const port = Number(after(args, '--port'));
  if (model === undefined || !model.startsWith(`${blobs}/`) || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  const stat = processStat(pid);
  if (stat === null || stat.state === 'Z') return null;
  const digest = /^sha256-([0-9a-f]{64})$/.exec(basename(model))?.[1] ?? '';
  const { parent, startedAt, state, cpuTicks } = stat;
  return { pid, parent, startedAt, port, weights: digest, state, cpuTicks };
}

function after(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}

/** A watcher that remembers how much CPU time each runner had used. */
export function createRunnerWatch(blobs: string): {
  /** Scans /proc anew when `full`, else only looks at the runners it knows. Then asks each its /health. */
  look(full: boolean, timeoutMs: number): Promise<readonly RunnerSeen[]>;
  known(): readonly RunnerProcess[];
} {
  let known: readonly RunnerProcess[] = [];
  const others = new Map<number, number>();

  async function refresh(full: boolean): Promise<void> {
    if (full) {
      known = await findRunners(blobs, others);
      return;
    }
    known = known.flatMap((r) => {
      const stat = processStat(r.pid);
      return stat === null || stat.state === 'Z' || stat.startedAt !== r.startedAt ? [] : [{ ...r, ...stat }];
    });
  }

  return {
    known: () => known,
    async look(full, timeoutMs) {
      const before = known;
      await refresh(full);
      // One that is gone may have another in its place.
      if (!full && known.length < before.length) await refresh(true);
      return Promise.all(
        known.map(async (r): Promise<RunnerSeen> => {
          const old = before.find((b) => b.pid === r.pid && b.startedAt === r.startedAt);
          const asked = await askHealth(r.port, timeoutMs);
          const after = asked.answer === 'silent' ? processStat(r.pid) : null;
          const ticks = after?.cpuTicks ?? r.cpuTicks;
          return {
            pid: r.pid,
            startedAt: r.startedAt,
            port: r.port,
            weights: r.weights,
            ...asked,
            worked: ticks > (old?.cpuTicks ?? r.cpuTicks),
            stopped: (after?.state ?? r.state) === 'T',
          };
        }),
      );
    },
  };
}

/** GET /health of a runner on loopback; any HTTP answer is one. Never rejects. */
function askHealth(port: number, timeoutMs: number): Promise<Pick<RunnerSeen, 'answer' | 'ms'>> {
  const start = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let text = '';
    const late = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on('connect', () => socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (/^HTTP\/1\.[01] \d{3}/.test(text) || text.length > REPLY_MAX) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(late);
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
      resolve({ answer: status === 0 ? 'silent' : status === 503 ? 'loading' : 'ok', ms: performance.now() - start });
    });
  });
}
