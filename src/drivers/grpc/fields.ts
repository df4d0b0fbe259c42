// Checks of single fields that come from another host. Each returns the checked value or throws a Refusal; `parse` turns that into a value.
import { isIPv6 } from 'node:net';

/** A checked value, or why there is none. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

class Refusal extends Error {}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ADDRESS = /^(?:\[[0-9A-Fa-f:.%A-Za-z]{2,64}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})$/;
const HASH = /^[0-9a-f]{64}$/;
const UINT32_MAX = 0xffff_ffff;

/** Runs `build`; whatever it throws becomes a reason. */
export function parse<T>(build: () => T): Parsed<T> {
  try {
    return { ok: true, value: build() };
  } catch (cause) {
    return { ok: false, reason: cause instanceof Error ? cause.message.slice(0, 200) : 'unreadable' };
  }
}

/** Ends the current `parse` with a reason. */
export function refuse(reason: string): never {
  throw new Refusal(reason);
}

/** A 64-bit count that fits a JavaScript number. */
export function count(value: bigint | number, field: string): number {
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : refuse(`${field} is not a safe integer`);
}

/** A node id. */
export function label(value: string, field: string): string {
  return LABEL.test(value) ? value : refuse(`${field} is not a node id`);
}

/** A node id or nothing. */
export function labelOrNone(value: string, field: string): string {
  return value === '' ? '' : label(value, field);
}

/** Text for people: bounded, without control characters, which a terminal might obey. */
export function text(value: string, max: number, field: string): string {
  if (value.length > max) return refuse(`${field} is longer than ${max}`);
  return value.replace(/\p{Cc}/gu, ' ');
}

/** One of a fixed set of words. */
export function word<T extends string>(value: string, words: readonly T[], field: string): T {
  return words.find((known) => known === value) ?? refuse(`${field} is none of ${words.join(', ')}`);
}

/** host:port, [v6]:port, or nothing. */
export function address(value: string, field: string): string {
  return value === '' || splitAddress(value) !== null ? value : refuse(`${field} is not host:port`);
}

/** 64 lower-case hex digits. */
export function hash(value: string, field: string): string {
  return HASH.test(value) ? value : refuse(`${field} is not a SHA-256`);
}

/** Host and port of an address, or null. */
export function splitAddress(value: string): { readonly host: string; readonly port: number } | null {
  const port = Number(ADDRESS.exec(value)?.[1]);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return null;
  const host = value.slice(0, value.lastIndexOf(':'));
  if (!host.startsWith('[')) return { host, port };
  const bare = host.slice(1, -1);
  return isIPv6(bare) ? { host: bare, port } : null;
}

/** A list within its bound. */
export function list<T>(values: readonly T[], max: number, field: string): readonly T[] {
  return values.length <= max ? values : refuse(`${field} has ${values.length} entries, ${max} are allowed`);
}

/** Our own number on its way out: whole, not negative, at most 32 bits; Infinity and NaN become the largest. */
export function uint32(value: number): number {
  return Number.isFinite(value) ? Math.min(UINT32_MAX, Math.max(0, Math.round(value))) : UINT32_MAX;
}

/** Our own count on its way out. */
export function uint64(value: number): bigint {
  return BigInt(Number.isFinite(value) ? Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.round(value))) : 0);
}

/** Our own signed 64-bit number on its way out, -1 for what is not known. */
export function int64(value: number): bigint {
  return BigInt(Number.isFinite(value) ? Math.round(Math.max(-1, Math.min(Number.MAX_SAFE_INTEGER, value))) : -1);
}

/** Our own signed 32-bit number on its way out. */
export function int32(value: number): number {
  return Number.isFinite(value) ? Math.min(0x7fff_ffff, Math.max(-0x8000_0000, Math.round(value))) : 0;
}
