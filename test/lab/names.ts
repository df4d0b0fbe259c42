// Names, addresses and directories of a lab; the one place that knows how they are spelled.
import { join } from 'node:path';

/** Where run-time files of labs live; root-owned, since keepalived refuses scripts below writable directories. */
export const runRoot = '/run/ollama-ha-lab';

/** Where data of labs lives (stores, state, logs). */
export const dataRoot = '/var/lib/ollama-ha-lab';

/** The client host's name, and the name of the namespace that holds the bridge. */
export const clientName = 'client';
export const switchName = 'switch';

/** Address of the client host, of the VIP, and their network's prefix length. */
export const clientAddress = '10.77.0.200';
export const vipAddress = '10.77.0.100';
export const prefixLength = 24;

/** The repository's root: every lab runs the programs of its own working tree. */
export const projectRoot = join(import.meta.dirname, '../..');

const word = /^[a-z][a-z0-9]{0,7}$/;

/** Refuses a lab id that would not fit into namespace and interface names. */
export function checkLabId(id: string): void {
  if (!word.test(id)) throw new Error(`lab id "${id}": use 1-8 lower-case letters and digits, first a letter`);
}

/** Name of a host's network namespace. */
export function namespaceOf(id: string, host: string): string {
  return `ohl-${id}-${host}`;
}

/** The lab's id in the name of a namespace, or null for a foreign namespace. */
export function labIdOf(namespace: string): string | null {
  return /^ohl-([a-z][a-z0-9]{0,7})-[a-z0-9]+$/.exec(namespace)?.[1] ?? null;
}

/** Name and address of the n-th node, counted from 1. */
export function nodeAt(n: number): { readonly name: string; readonly address: string } {
  return { name: `gpu${n}`, address: `10.77.0.${n}` };
}

/** The MAC of a host's eth0, readable in captures: the last byte is the host's number. */
export function macOf(n: number): string {
  return `52:54:00:aa:01:${n.toString(16).padStart(2, '0')}`;
}

/** Monotonic milliseconds of the machine, comparable between processes (CLOCK_MONOTONIC). */
export function monoMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
