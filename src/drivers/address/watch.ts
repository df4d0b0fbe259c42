// Are the addresses on an interface of this host? Changes are pushed by one long-lived `ip -o monitor address`; the answer is always read from
// the kernel's tables, which list the address also where the interface is down or without carrier.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The watch of one or several addresses. Null = the table could not be read. */
export type Watch = {
  /** All of them are there. */
  present(): boolean | null;
  /** At least one is. */
  any(): boolean | null;
  /** `wanted` true: until all are there; false: until none is. */
  until(wanted: boolean, limitMs: number): Promise<boolean>;
  onChange(listener: () => void): void;
  close(): void;
};

/** Beside the pushed changes the table is read this often while somebody waits, ms. */
const POLL_MS = 5;
const RESPAWN_MS = 500;

/** Watches `addresses` (no prefix lengths). `procNet` is this host's view of the network, /proc/self/net. */
export function watchAddresses(addresses: readonly string[], procNet = '/proc/self/net'): Watch {
  const listeners = new Set<() => void>();
  let closed = false;
  let child: ChildProcess | null = null;
  let respawn: NodeJS.Timeout | undefined;
  const tell = () => {
    for (const listener of listeners) listener();
  };

  function start(): void {
    child = spawn('ip', ['-o', 'monitor', 'address'], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout?.on('data', tell);
    child.on('error', () => {});
    child.on('close', () => {
      if (!closed) respawn = setTimeout(start, RESPAWN_MS);
    });
  }
  start();

  const each = () => addresses.map((address) => addressPresent(address, procNet));
  const present = () => allOf(each());
  const any = () => anyOf(each());
  const reached = (wanted: boolean) => (wanted ? present() : any()) === wanted;
  return {
    present,
    any,
    until(wanted, limitMs) {
      if (reached(wanted)) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (seen: boolean) => {
          clearTimeout(limit);
          clearInterval(poll);
          listeners.delete(look);
          resolve(seen);
        };
        const look = () => {
          if (reached(wanted)) finish(true);
        };
        const limit = setTimeout(() => finish(reached(wanted)), limitMs);
        const poll = setInterval(look, POLL_MS);
        listeners.add(look);
      });
    },
    onChange: (listener) => {
      listeners.add(listener);
    },
    close() {
      closed = true;
      clearTimeout(respawn);
      child?.kill('SIGKILL');
    },
  };
}

/** True = all are; null only where no answer is false. */
export function allOf(answers: readonly (boolean | null)[]): boolean | null {
  return answers.includes(false) ? false : answers.includes(null) ? null : true;
}

/** True = at least one is; null only where no answer is true. */
export function anyOf(answers: readonly (boolean | null)[]): boolean | null {
  return answers.includes(true) ? true : answers.includes(null) ? null : false;
}

/** Reads the kernel's table once; null = it could not be read. */
export function addressPresent(address: string, procNet = '/proc/self/net'): boolean | null {
  try {
    if (address.includes(':')) return inIfInet6(readTable(`${procNet}/if_inet6`), address);
    return inFibTrie(readTable(`${procNet}/fib_trie`), address);
  } catch {
    return null;
  }
}

function readTable(path: string): string {
  return readFileSync(path, 'latin1');
}

/** The address stands in fib_trie with a local host route. */
export function inFibTrie(table: string, address: string): boolean {
  return new RegExp(`\\|-- ${address.replaceAll('.', '\\.')}\\n\\s+/32 host LOCAL`).test(table);
}

/** The address stands in if_inet6, which spells it in 32 hex digits. */
export function inIfInet6(table: string, address: string): boolean {
  const wanted = hexOf(address);
  return table.split('\n').some((line) => line.startsWith(wanted));
}

function hexOf(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::');
  const words = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'));
  const left = words(head);
  const right = words(tail);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(zeros).fill('0'), ...right].map((word) => word.padStart(4, '0')).join('');
}
