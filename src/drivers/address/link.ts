// The addresses by `ip`: the whole actuator of driver `address`, the last resort for "off" beside a keepalived that does not move, and the
// kernel's lifetime of an address where that is what ends it. All addresses are one thing: on together, off together.
import { readFileSync, writeFileSync } from 'node:fs';
import { ipBatch, run } from './ip.ts';
import { openIpSession } from './session.ts';
import { addressPresent } from './watch.ts';

/** How an act went. */
export type LinkOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** Puts the addresses on, limits them and takes them off. Times are CLOCK_MONOTONIC in ms. */
export type Link = {
  /** `sole`: nothing but the lifetime ends the address, so it never reaches beyond `enforceAt`. */
  on(enforceAt: number, sole?: boolean): Promise<LinkOutcome>;
  /** Gives the addresses, which somebody else put on, a lifetime within `enforceAt`. Nothing is done when less than a second is left. */
  limit(enforceAt: number): Promise<LinkOutcome>;
  /** Gives an address of the documentation range a lifetime, on loopback and for milliseconds, and reads it back. */
  canLimit(): Promise<LinkOutcome>;
  off(): Promise<LinkOutcome>;
  /**
   * Puts the addresses on, without a lifetime, and announces them; true = on its way, and whether they are on only the kernel's table tells.
   * keepalived finds them there when it comes.
   */
  place(): boolean;
  /** Takes them off, without waiting for it. */
  drop(): void;
  /** Ends what it keeps running. */
  end(): void;
};

/** What is moved: addresses with their prefix lengths, on one interface. */
export type LinkOptions = { readonly vips: readonly string[]; readonly interface: string };

/** Neighbours are told again this often while the address is held, ms. */
const ANNOUNCE_EVERY_MS = 10_000;
const PROBE = '192.0.2.1';
/** An address that was handed to the session is on by then, ms. */
const PLACED_MS = 50;

/** Works on `vips` at one interface. `now` is CLOCK_MONOTONIC in ms. */
export function openLink(options: LinkOptions & { readonly now: () => number }): Link {
  const { now } = options;
  const session = openIpSession();
  const plain = options.vips.map(addressOf);
  const v4 = plain.filter((address) => !address.includes(':'));
  const v6 = plain.filter((address) => address.includes(':'));
  let announcedAt = Number.NEGATIVE_INFINITY;
  let bursts = 0;

  /** One burst, at once. It starts while `ip` is at work, and an address that is not there yet ends it: then once more. */
  async function announcePlaced(address: string): Promise<void> {
    const args = ['-U', '-q', '-c', '2', '-I', options.interface, address];
    const first = await run('arping', args, 3000);
    if (!first.ok && addressPresent(address) === true) await run('arping', args, 3000);
  }

  function announce(): void {
    if (now() - announcedAt < ANNOUNCE_EVERY_MS) return;
    announcedAt = now();
    bursts += 1;
    // Two, a second apart: some systems ignore the first inside their neighbour lock time. Nobody waits for them.
    const count = bursts === 1 ? '2' : '1';
    for (const address of v4) void run('arping', ['-U', '-q', '-c', count, '-I', options.interface, address], 3000);
  }

  return {
    async on(enforceAt, sole = false) {
      const seconds = sole ? wholeSeconds(enforceAt - now()) : Math.max(1, wholeSeconds(enforceAt - now()));
      if (seconds < 1) return { ok: false, why: 'less than a second is left' };
      const fresh = v6.some((address) => addressPresent(address) !== true);
      const restore = fresh ? announceByKernel(options.interface) : null;
      const outcome = await ipBatch(options.vips.map((vip) => lineFor('replace', vip, options.interface, seconds, restore === null)));
      restore?.();
      if (!outcome.ok) return outcome;
      announce();
      return { ok: true };
    },
    async limit(enforceAt) {
      const seconds = wholeSeconds(enforceAt - now());
      // A lifetime of a second would reach beyond; the one of the renewal before ends in time.
      if (seconds < 1) return { ok: true };
      return plainOutcome(await ipBatch(options.vips.map((vip) => lineFor('change', vip, options.interface, seconds, true))));
    },
    async canLimit() {
      const added = await ipBatch([lineFor('replace', `${PROBE}/32`, 'lo', 9, true)]);
      if (!added.ok) return added;
      const shown = await run('ip', ['-o', 'address', 'show', 'dev', 'lo', 'to', PROBE]);
      await ipBatch([`address flush to ${PROBE}/32 dev lo`]);
      if (!shown.ok) return shown;
      return /valid_lft \d+sec/.test(shown.text) ? { ok: true } : { ok: false, why: 'the kernel keeps no lifetime of an address' };
    },
    off() {
      announcedAt = Number.NEGATIVE_INFINITY;
      bursts = 0;
      return flushAddresses(options);
    },
    place() {
      const fresh = v6.some((address) => addressPresent(address) !== true);
      const restore = fresh ? announceByKernel(options.interface) : null;
      const written = session.write(options.vips.map((vip) => lineFor('replace', vip, options.interface, null, restore === null)));
      if (restore !== null) setTimeout(restore, PLACED_MS).unref();
      if (written) for (const address of v4) void announcePlaced(address);
      return written;
    },
    drop() {
      session.write(flushLines(options));
    },
    end() {
      session.close();
    },
  };
}

/** Takes the addresses off the interface; succeeds where they are not there, and whatever prefix length they have. */
export async function flushAddresses(options: LinkOptions): Promise<LinkOutcome> {
  return plainOutcome(await ipBatch(flushLines(options), true));
}

function flushLines(options: LinkOptions): readonly string[] {
  return options.vips.map((vip) => {
    const address = addressOf(vip);
    return `address flush to ${address}/${address.includes(':') ? 128 : 32} dev ${options.interface}`;
  });
}

/** The address without its prefix length. */
export function addressOf(vip: string): string {
  return vip.split('/')[0] ?? vip;
}

/**
 * The line for `ip -batch` that puts `vip` on, or changes it, for `seconds` (null = for good). An IPv6 address is never preferred: connections of this host must
 * not take it as their source. `nodad`: its uniqueness is not tested, the lease sees to that.
 */
export function lineFor(act: 'replace' | 'change', vip: string, name: string, seconds: number | null, nodad: boolean): string {
  const valid = seconds === null ? 'forever' : String(seconds);
  const preferred = vip.includes(':') ? `0${nodad ? ' nodad' : ''}` : valid;
  return `address ${act} ${vip} dev ${name} valid_lft ${valid} preferred_lft ${preferred}`;
}

/** The kernel counts lifetimes in whole seconds: rounded down, so that none reaches beyond `ms`. */
export function wholeSeconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}

/**
 * No program announces an IPv6 address. The kernel does, with `ndisc_notify`, but only for an address that passed its test of uniqueness; with
 * `accept_dad` 0 that test is over at once. Returns how to put accept_dad back; null = not permitted, and then nobody announces.
 */
function announceByKernel(name: string): (() => void) | null {
  const dir = `/proc/sys/net/ipv6/conf/${name}`;
  try {
    const before = readFileSync(`${dir}/accept_dad`, 'latin1').trim();
    writeFileSync(`${dir}/ndisc_notify`, '1');
    writeFileSync(`${dir}/accept_dad`, '0');
    return () => {
      try {
        writeFileSync(`${dir}/accept_dad`, before);
      } catch {
        // The interface has gone: so has the setting.
      }
    };
  } catch {
    return null;
  }
}

function plainOutcome(outcome: { readonly ok: true } | { readonly ok: false; readonly why: string }): LinkOutcome {
  return outcome.ok ? { ok: true } : outcome;
}
