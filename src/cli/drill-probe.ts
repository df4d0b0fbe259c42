// Asks the address on a schedule, each time on a connection of its own, and never waits for earlier answers.
import { get } from 'node:http';
import { networkInterfaces } from 'node:os';

/** One request. `own`: this host carried the address when the answer came, and so has answered itself, over its loopback. */
export type Ask = { readonly atMs: number; readonly ok: boolean; readonly own: boolean };

/** A running prober; times by `performance.now()`. */
export type Probe = { readonly asks: readonly Ask[]; readonly stop: () => void };

/** How often, and how long an answer may take, ms. */
export const ASK_EVERY_MS = 10;
const ASK_MS = 250;
const ASKS_MAX = 60_000;

/** Starts it. */
export function startProbe(host: string, port: number): Probe {
  const asks: Ask[] = [];
  const one = (): void => {
    const atMs = performance.now();
    let told = false;
    const tell = (ok: boolean, own: boolean): void => {
      if (told) return;
      told = true;
      if (asks.length < ASKS_MAX) asks.push({ atMs, ok, own });
    };
    const request = get({ host, port, path: '/api/version', agent: false, signal: AbortSignal.timeout(ASK_MS) }, (reply) => {
      tell(reply.statusCode === 200, carries(host));
      reply.resume();
      reply.on('error', () => undefined);
    });
    request.on('error', () => tell(false, false));
  };
  const timer = setInterval(one, ASK_EVERY_MS);
  return { asks, stop: () => clearInterval(timer) };
}

function carries(address: string): boolean {
  return Object.values(networkInterfaces()).some((rows) => rows?.some((row) => row.address === address));
}

/** How long the address was silent after a moment. */
export type Outage = {
  /** From the first request without an answer to the first one after which all were answered; 0 = every one was answered. */
  readonly outageMs: number;
  /** From the moment to that first one; 0 as above. */
  readonly recoveredMs: number;
  readonly failed: number;
  readonly asked: number;
  /** Longest time between two requests, or from the moment to the first one: a shorter outage may have been missed. */
  readonly gapMs: number;
};

/** Null when it did not answer again. */
export function outageOf(asks: readonly Ask[], faultMs: number): Outage | null {
  const after = asks.filter((ask) => ask.atMs >= faultMs).toSorted((a, b) => a.atMs - b.atMs);
  const failed = after.filter((ask) => !ask.ok);
  const [first, last] = [failed[0], failed.at(-1)];
  const gapMs = after.reduce((gap, { atMs }, i) => Math.max(gap, atMs - (after[i - 1]?.atMs ?? faultMs)), 0);
  const counts = { failed: failed.length, asked: after.length, gapMs };
  if (first === undefined || last === undefined) return { outageMs: 0, recoveredMs: 0, ...counts };
  const back = after.find((ask) => ask.ok && ask.atMs > last.atMs);
  return back === undefined ? null : { outageMs: back.atMs - first.atMs, recoveredMs: back.atMs - faultMs, ...counts };
}
