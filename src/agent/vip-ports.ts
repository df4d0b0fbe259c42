// What moving the address needs of the world: one narrow function type per act. Drivers implement these; none of them throws.
import type { Vrrp } from '../core/vip/agreement.ts';
import type { Sink } from './ports.ts';

/** How one act went. A failure of the world is a value: `why` is one line for the log. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The act was carried out and, where it can be, confirmed. */
export const DONE: Outcome = { ok: true };

/** The act was not carried out, or nobody could confirm it. */
export function failed(why: string): Outcome {
  return { ok: false, why };
}

/** The kernel fence: nothing on this node answers for the address unless it is open, and it closes by itself. */
export interface FencePort {
  /** Opens it until `enforceAt` (monotonic ms) and reads it back; refuses when that moment has passed. */
  open(enforceAt: number): Promise<Outcome>;
  /** Closes it and reads back that it is closed. */
  close(): Promise<Outcome>;
  /** Read only: the table is there, on this interface, for this address. */
  check(): Promise<Outcome>;
  /** Repairs the table where `check` fails (which closes the fence), then runs one real transaction beside the address. */
  prove(): Promise<Outcome>;
}

/** keepalived's track files. Each write is a temporary file and a rename. */
export interface TrackFiles {
  /** The dead-man script's limit: `enforceAt`, monotonic ms. */
  deadline(enforceAt: number): Outcome;
  /** VRRP priority of the epoch. */
  epoch(epoch: number): Outcome;
  /** True = this node holds the lease; false = FAULT. */
  lease(held: boolean): Outcome;
}

/** `ip address`: the whole actuator of driver `address`, the last resort for "off" beside keepalived. */
export interface LinkPort {
  /**
   * Puts the address on and announces it; repeated at every renewal until `enforceAt` (monotonic ms). `sole`: its lifetime is what ends it,
   * so it never reaches beyond; then nothing is done when less than a second is left.
   */
  on(enforceAt: number, sole: boolean): Promise<Outcome>;
  /** Gives the address that keepalived put on a lifetime within `enforceAt`; nothing is done when less than a second is left. */
  limit(enforceAt: number): Promise<Outcome>;
  /** Proves that a lifetime can be set here. */
  canLimit(): Promise<Outcome>;
  off(): Promise<Outcome>;
  /** Puts the address on ahead of keepalived, and announces it, without waiting; true = on its way. */
  place(): boolean;
  /** Takes it off beside keepalived, without waiting. */
  drop(): void;
}

/** Resets every TCP connection of the address. */
export type KillSockets = () => Promise<Outcome>;

/** Is the address on an interface of this host? With several, they are one thing: on when all are there, off when none is. */
export interface AddressWatch {
  /** All are there, read now; null = could not be read. */
  present(): boolean | null;
  /** At least one is there. */
  any(): boolean | null;
  /** Resolves true as soon as all (`wanted`) or none (not `wanted`) are there, false after `limitMs`. */
  until(wanted: boolean, limitMs: number): Promise<boolean>;
  /** Called after each change of any address of the host. */
  onChange(listener: () => void): void;
}

/** keepalived as it can be seen from outside. */
export interface KeepalivedView {
  /** Failure: a grant would not put the address on. */
  ready(): Outcome;
  /** The dead-man script would run: it exists, is root's, executable, and nobody else can replace it. */
  script(): Outcome;
  /** Resolves true as soon as keepalived reported FAULT, false after `limitMs`. */
  untilFault(limitMs: number): Promise<boolean>;
  /** Its state as it told it. */
  view(): Vrrp;
  /** It became MASTER and then, without an order of ours, BACKUP: a peer with a newer epoch overruled it. */
  overruled(): boolean;
  /** Called when keepalived appears or disappears. */
  onChange(listener: () => void): void;
  /** Called at each state it tells. */
  onState(listener: () => void): void;
}

/** Everything the address is moved with. A null part is one this node does not have. */
export type VipParts = {
  readonly fence: FencePort | null;
  /** Without a working fence this node must not act. */
  readonly fenceRequired: boolean;
  readonly files: TrackFiles | null;
  readonly keepalived: KeepalivedView | null;
  readonly link: LinkPort | null;
  /** `link` puts the address on (driver address), not only takes it off. */
  readonly linkIsActuator: boolean;
  /** The lease is long enough for the lifetime of the address to end it. */
  readonly lifetimes: boolean;
  readonly killSockets: KillSockets | null;
  readonly watch: AddressWatch | null;
  /** Starts or stops the standby's watch on the wire. */
  readonly wire: ((active: boolean) => void) | null;
  readonly sink: Sink;
  /** CLOCK_MONOTONIC, ms. */
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', event: string, text: string) => void;
  readonly limits?: Partial<VipLimits>;
};

/** Waits of the VIP, ms. */
export type VipLimits = {
  /** Period of the standing checks. */
  readonly tickMs: number;
  /** The address must be on the interface this long after `lease` = 1, and must not be missing longer than this while held. */
  readonly grantMs: number;
  /** The address must be off this long after `lease` = 0, else `ip` removes it. */
  readonly offMs: number;
  /** Without a renewal the VIP is revoked this long before `enforceAt`, while a reset can still leave the host. */
  readonly leadMs: number;
  /** Wait after the first failed grant before the next proof; doubles up to `cooldownMaxMs`. */
  readonly cooldownMs: number;
  readonly cooldownMaxMs: number;
  /** keepalived must stand behind a held address again within this time; its restart takes one to two seconds. */
  readonly aloneMs: number;
};

/** The limits of a real agent. */
export const VIP_LIMITS: VipLimits = {
  tickMs: 1000,
  grantMs: 2000,
  offMs: 150,
  leadMs: 25,
  cooldownMs: 1000,
  cooldownMaxMs: 30_000,
  aloneMs: 4000,
};
