// Who answers for the address on the wire, as a standby sees it: a host gets no answer to its own question, so the holder does not ask.
// Two MACs are a split brain; that is why the probe neither stops at the first answer nor asks only once. But a look lasts up to a second, and one
// in whose middle the address moves has seen both owners too: two MACs are told only when a second look, at once, sees two as well.
import { type ChildProcess, execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** MACs in lower case. `own` is that of our interface, '' when it cannot be read. */
export type WireFact = { readonly k: 'wire'; readonly macs: readonly string[]; readonly own: string };

/** The watch; it starts inactive. */
export type ArpWatch = {
  active(on: boolean): void;
  close(): void;
};

const PERIOD_MS = 1000;
const BEGIN_MS = 300;
const MACS_MAX = 16;

/** Asks for `address` (IPv4, no prefix length) each second while active; needs CAP_NET_RAW and iputils arping. */
export function watchArp(options: {
  readonly address: string;
  readonly interface: string;
  readonly sink: (fact: WireFact) => void;
  readonly program?: string;
}): ArpWatch {
  let on = false;
  let child: ChildProcess | null = null;
  let next: NodeJS.Timeout | undefined;

  function ask(again = false): void {
    const args = ['-b', '-c', '2', '-w', '1', '-I', options.interface, options.address];
    child = execFile(
      options.program ?? 'arping',
      args,
      { timeout: 3 * PERIOD_MS, killSignal: 'SIGKILL', maxBuffer: 256 * 1024 },
      (error, out) => {
        child = null;
        if (!on) return;
        // Exit code 1 is "not every question was answered"; anything else is no observation at all.
        const looked = error === null || error.code === 1;
        const macs = macsOf(out);
        if (looked && macs.length > 1 && !again) {
          ask(true);
          return;
        }
        if (looked) options.sink({ k: 'wire', macs, own: ownMac(options.interface) });
        clearTimeout(next);
        next = setTimeout(ask, looked ? 0 : PERIOD_MS);
      },
    );
    child.stdin?.end();
  }

  // Every node tells its own MAC in gossip, so that the others can name whoever answers; a node that never stood by has not asked yet.
  queueMicrotask(() => options.sink({ k: 'wire', macs: [], own: ownMac(options.interface) }));

  return {
    active(wanted) {
      if (wanted === on) return;
      on = wanted;
      clearTimeout(next);
      // Not at once: it begins while an address is being handed over, and the start of a program would stand in its way.
      if (on && child === null) next = setTimeout(ask, BEGIN_MS);
    },
    close() {
      on = false;
      clearTimeout(next);
      child?.kill('SIGKILL');
    },
  };
}

/** The MACs that answered, each once, in lower case. */
export function macsOf(output: string): readonly string[] {
  const found = [...output.matchAll(/reply from \S+ \[([0-9a-fA-F:]{17})\]/g)].map(([, mac]) => (mac ?? '').toLowerCase());
  return [...new Set(found)].slice(0, MACS_MAX);
}

function ownMac(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/address`, 'latin1').trim().toLowerCase();
  } catch {
    return '';
  }
}
