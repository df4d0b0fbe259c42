// The address by `ip`: the whole actuator of driver `address`, and the last resort for "off" beside a keepalived that does not move.
// As an actuator it has no second judge, so it works behind the kernel fence only; the lifetime of the address is a second net.
import { execFile } from 'node:child_process';

/** How an act went. */
export type LinkOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** Puts the address on and takes it off. */
export type Link = {
  on(enforceAt: number): Promise<LinkOutcome>;
  off(): Promise<LinkOutcome>;
};

const LIMIT_MS = 500;
/** Neighbours are told again this often while the address is held, ms. */
const ANNOUNCE_EVERY_MS = 10_000;

/** Works on `vip` (with prefix length) at one interface. `now` is CLOCK_MONOTONIC in ms. */
export function openLink(options: { readonly vip: string; readonly interface: string; readonly now: () => number }): Link {
  const { now } = options;
  const address = addressOf(options.vip);
  let announcedAt = Number.NEGATIVE_INFINITY;
  let bursts = 0;

  function announce(): void {
    if (now() - announcedAt < ANNOUNCE_EVERY_MS || address.includes(':')) return;
    announcedAt = now();
    bursts += 1;
    // Two, a second apart: some systems ignore the first inside their neighbour lock time. Nobody waits for them.
    void run('arping', ['-U', '-q', '-c', bursts === 1 ? '2' : '1', '-I', options.interface, address], 3000);
  }

  return {
    async on(enforceAt) {
      const outcome = await run('ip', onArgs(options, enforceAt - now()), LIMIT_MS);
      if (outcome.ok) announce();
      return outcome;
    },
    off() {
      announcedAt = Number.NEGATIVE_INFINITY;
      bursts = 0;
      return flushAddress(options);
    },
  };
}

/** Takes the address off the interface; succeeds where it is not there, and whatever prefix length it has. */
export function flushAddress(options: { readonly vip: string; readonly interface: string }): Promise<LinkOutcome> {
  const address = addressOf(options.vip);
  return run('ip', ['address', 'flush', 'to', `${address}/${address.includes(':') ? 128 : 32}`, 'dev', options.interface], LIMIT_MS);
}

/** The address without its prefix length. */
export function addressOf(vip: string): string {
  return vip.split('/')[0] ?? vip;
}

/** Arguments of `ip` for `ms` more; the kernel's lifetimes are whole seconds, rounded down, at least one. */
export function onArgs(options: { readonly vip: string; readonly interface: string }, ms: number): readonly string[] {
  const seconds = String(Math.max(1, Math.floor(ms / 1000)));
  const nodad = options.vip.includes(':') ? ['nodad'] : [];
  return ['address', 'replace', options.vip, 'dev', options.interface, 'valid_lft', seconds, 'preferred_lft', seconds, ...nodad];
}

function run(program: string, args: readonly string[], limitMs: number): Promise<LinkOutcome> {
  return new Promise((resolve) => {
    const child = execFile(program, [...args], { timeout: limitMs, killSignal: 'SIGKILL' }, (error, _out, err) => {
      if (error === null) resolve({ ok: true });
      else resolve({ ok: false, why: error.killed ? `${program} did not end within ${limitMs} ms` : err.split('\n')[0] || error.message });
    });
    child.stdin?.end();
  });
}
