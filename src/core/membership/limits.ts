// Every time and every count of membership in one place. Times are milliseconds on the monotonic clock.

/** Up to this many nodes everyone sends heartbeats to everyone. */
export const ALL_TO_ALL_MAX = 16;
/** Beyond it: heartbeats go to this many ring successors ... */
export const RING_SUCCESSORS = 8;
/** ... to the active and two heirs ... */
export const HUBS_MAX = 3;
/** ... and once per ROTATION_MS to this many of the others, in turn. */
export const ROTATION_BATCH = 8;
/** See ROTATION_BATCH. */
export const ROTATION_MS = 1_000;

/** Rows of the table, this node not counted, tombstones counted. */
export const PEERS_MAX = 255;
/** Updates read from one frame. */
export const UPDATES_IN_MAX = 128;
/** Updates put into one frame; keeps a heartbeat near 1 KB. */
export const UPDATES_OUT_MAX = 16;
/** Updates waiting to be spread. */
export const SPREAD_MAX = 512;
/** Accusers kept per suspect. */
export const ACCUSERS_MAX = 8;
/** Send times kept to compute round trips. */
export const ROUNDS_MAX = 32;

/** Shortest time between two rounds of heartbeats, however urgent. */
export const BEAT_GAP_MS = 25;
/** A full table is exchanged with one random peer this often, */
export const TABLE_MS = 5_000;
/** with the same peer because of a digest at most this often, */
export const TABLE_PEER_GAP_MS = 1_000;
/** and with anybody because of a digest at most this often. */
export const TABLE_GAP_MS = 100;

/** A suspicion that enough others share becomes death after this long. */
export const AGREED_MS = 500;
/** A suspicion that nobody shares becomes death after this long. */
export const ALONE_MS = 2_000;
/** Probes of a suspect are repeated this often. */
export const PROBE_MS = 500;
/** Peers asked for an indirect probe. */
export const PROBE_VIAS = 3;
/** Time to get a link to a member that is alive by hearsay only. */
export const GRACE_MS = 1_500;

/** Dead and left members are forgotten after this long; the tombstone keeps boot and incarnation. */
export const REAP_MS = 3_600_000;
/** An unlinked member's dial order is repeated this often. */
export const DIAL_MS = 30_000;
/** Alarms about one duplicate node at most this often. */
export const DUPLICATE_MS = 5_000;
/** A claim of another process counts as live only if it was heard this long after our own start. */
export const DUPLICATE_AFTER_MS = 1_000;

/** Highest local health multiplier, and the clean time that lowers it by one. */
export const LHM_MAX = 7;
/** See LHM_MAX. */
export const LHM_CLEAN_MS = 5_000;

/** An incarnation further from its boot than this was never counted up by refutations. */
const INC_RANGE = 2 ** 32;

/** Whether boot and incarnation can come from an honest node. */
export function plausible(boot: number, inc: number): boolean {
  return Number.isSafeInteger(boot) && Number.isSafeInteger(inc) && boot > 0 && inc >= boot && inc - boot < INC_RANGE;
}

/** Silence after which a peer that should speak each `intervalMs` is suspected. A sick observer (lhm) waits longer. */
export function silenceLimitMs(intervalMs: number, jitterMs: number, lhm: number): number {
  return (3 * intervalMs + Math.max(100, 4 * jitterMs)) * (1 + lhm / 2);
}

/** How many times an update is put into a round of heartbeats in a cluster of n nodes. */
export function spreadTimes(n: number): number {
  return 4 * Math.ceil(Math.log10(n + 1));
}
