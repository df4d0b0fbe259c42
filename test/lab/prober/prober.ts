// The lab's side of the probers: starts them on the client host, collects what they print.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { clientName, monoMs, namespaceOf, projectRoot, vipAddress } from '../names.ts';
import { prioritise } from '../priority.ts';
import type { ArpRecord, RequestRecord } from './records.ts';

/** How to probe. Defaults: every 20 ms, time-out 200 ms, GET /api/version on the VIP's port 11434, ARP every 5 ms. */
export type ProberOptions = {
  readonly everyMs?: number;
  /** Another address than the VIP: then there is nobody to ask by ARP, and nobody is. */
  readonly address?: string;
  readonly timeoutMs?: number;
  readonly path?: string;
  readonly port?: number;
  readonly arpEveryMs?: number;
};

/** Running probers. The arrays grow while they run; requests stand in the order of their ends. */
export type Prober = AsyncDisposable & {
  readonly requests: readonly RequestRecord[];
  readonly answers: readonly ArpRecord[];
  /** Resolves once requests started after `after` (monotonic ms) succeeded for `quietMs` without a failure, and the VIP answered ARP after it. */
  steady(args: { readonly after: number; readonly quietMs: number; readonly timeoutMs: number }): Promise<void>;
  /** Drops all records so far. */
  forget(): void;
  /** Ends both; every request that was started is in `requests` afterwards. */
  stop(): Promise<void>;
};

/** Of the probers: a client is another machine, its own stalls when this one is busy must not look like outages. */
const niceness = -15;

const arpingRoot = join(projectRoot, '.cache/arping');

/** Starts both probers; `steady` tells when they see an answering VIP. */
export function startProber(id: string, options: ProberOptions = {}): Prober {
  const requests: RequestRecord[] = [];
  const answers: ArpRecord[] = [];
  const { everyMs = 20, timeoutMs = 200, path = '/api/version', port = 11434, arpEveryMs = 5, address = vipAddress } = options;
  const http = program(id, 'http.ts', [address, port, path, everyMs, timeoutMs], ([at, latencyMs, error, node]) => {
    requests.push({ at: Number(at), latencyMs: Number(latencyMs), error: String(error), node: String(node) });
  });
  const withArp = address === vipAddress;
  const arp = withArp
    ? program(id, 'arp.ts', [arpingPath(), vipAddress, arpEveryMs], ([at, mac]) => {
        answers.push({ at: Number(at), mac: String(mac) });
      })
    : null;
  const stop = async (): Promise<void> => void (await Promise.all([http.stop(), arp?.stop()]));
  const steady: Prober['steady'] = async ({ after, quietMs, timeoutMs: limitMs }) => {
    const deadline = monoMs() + limitMs;
    while (!quiet(requests, after, quietMs) || (withArp && (answers.at(-1)?.at ?? -Infinity) < after)) {
      if (monoMs() > deadline) throw new Error(`clients had no ${quietMs} ms without a failed request within ${limitMs} ms`);
      await delay(20);
    }
  };
  const forget = (): void => {
    requests.length = 0;
    answers.length = 0;
  };
  return { requests, answers, steady, forget, stop, [Symbol.asyncDispose]: stop };
}

/** The unpacked arping of Debian's package of that name, or an error that says how to get it. */
function arpingPath(): string {
  const path = join(arpingRoot, 'usr/sbin/arping');
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make setup" as root`);
  return path;
}

/** Its libraries are unpacked beside it, below the architecture's directory. */
function libraryPath(): string {
  const lib = join(arpingRoot, 'usr/lib');
  return readdirSync(lib)
    .map((name) => join(lib, name))
    .join(':');
}

function quiet(requests: readonly RequestRecord[], after: number, quietMs: number): boolean {
  const last = requests.at(-1);
  if (last === undefined || last.at < after + quietMs) return false;
  // The array is in the order of ends: what ended before the quiet time began need not be looked at.
  for (let i = requests.length - 1; i >= 0; i -= 1) {
    const r = requests[i];
    if (r === undefined || r.at + r.latencyMs < last.at - quietMs) return true;
    if (r.error !== '') return false;
  }
  return true;
}

function program(
  id: string,
  file: string,
  args: readonly (string | number)[],
  take: (fields: unknown[]) => void,
): { stop(): Promise<void> } {
  const probe = [process.execPath, join(import.meta.dirname, file), ...args.map(String)];
  const command = ['-n', String(niceness), 'ip', 'netns', 'exec', namespaceOf(id, clientName), ...probe];
  const env = { ...process.env, LD_LIBRARY_PATH: libraryPath() };
  const child: ChildProcess = spawn('nice', command, { detached: true, stdio: ['ignore', 'pipe', 'inherit'], env });
  prioritise(child.pid, niceness);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const fields: unknown = JSON.parse(line);
      if (Array.isArray(fields)) take(fields);
    });
  }
  return {
    async stop() {
      child.kill('SIGTERM');
      await closed;
    },
  };
}
