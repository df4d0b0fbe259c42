// Words that every machine of the core shares.

/** A node's name: a DNS label, unique in the cluster. */
export type NodeId = string;

/**
 * The three clocks, read back to back at the start of a turn, in milliseconds.
 * `mono` (CLOCK_MONOTONIC) is the only one decisions use; `boot` (CLOCK_BOOTTIME) and `wall` serve the suspend check and the epoch seed.
 */
export type Now = { readonly mono: number; readonly boot: number; readonly wall: number };

/** One process incarnation of a node. `boot` is at least the wall-clock ms of its start and grows with every start. */
export type Identity = { readonly node: NodeId; readonly boot: number };

/** What a node is in the cluster right now, by the lease alone. */
export type Role = 'active' | 'standby' | 'witness';

/** The text that owns a lease record: `node#boot`. */
export function ownerOf(id: Identity): string {
  return `${id.node}#${id.boot}`;
}

/** The node in an owner text, or null when the text is empty or malformed. */
export function nodeOf(owner: string): NodeId | null {
  const at = owner.indexOf('#');
  return at > 0 ? owner.slice(0, at) : null;
}

/** The boot in an owner text, or null when there is none. */
export function bootOf(owner: string): number | null {
  const at = owner.indexOf('#');
  if (at <= 0) return null;
  const boot = Number(owner.slice(at + 1));
  return Number.isSafeInteger(boot) ? boot : null;
}

/**
 * What ends the address on a node whose agent stands still, strongest first: the kernel fence, the lifetime of the address in the kernel, the
 * dead-man script of keepalived. Each has its lockDelay (vip/enforcer.ts).
 */
export type Enforcer = 'nft' | 'valid_lft' | 'script' | 'none';
