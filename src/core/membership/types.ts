// Membership's vocabulary: what a heartbeat carries, what is believed of a peer, the machine's inputs and orders.
import type { HotModel } from '../hotset/types.ts';
import type { Enforcer, NodeId, Role } from '../types.ts';
import type { Protocol } from './protocol.ts';

/** State of a member. At equal incarnation a later word wins: alive < suspect < dead < left. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

/** One line about a member, as gossiped. */
export type MemberUpdate = {
  readonly node: NodeId;
  readonly boot: number;
  readonly inc: number;
  readonly state: MemberState;
  /** The accuser; equal to `node` when the node speaks of itself (dead by itself = left). */
  readonly by: NodeId;
  readonly ageMs: number;
  /** host:port of its peer listener. */
  readonly address: string;
};

/** What the sender believes of the lease. Shown, never counted. */
export type LeaseView = {
  readonly epoch: number;
  readonly holder: NodeId | '';
  readonly holderBoot: number;
  readonly lastAckAgeMs: number;
  readonly leftMs: number;
  readonly ttlMs: number;
  readonly mode: 'redis' | 'failsafe' | 'none';
  readonly lockDelayMs: number;
  /** How the holder came to it, and from whom; '' when unknown. Every node's history takes it from here. */
  readonly cause: string;
  readonly from: NodeId | '';
  /** Who ordered it; '' = nobody. */
  readonly by: string;
  /** From the holder itself, in its first seconds: how long each phase of the move took; else empty. */
  readonly phasesMs: Readonly<Record<string, number>>;
};

/** What a node states about itself; the input of ranking and of status. */
export type NodeView = {
  /** It has an `ollama:` section: it may become active. */
  readonly candidate: boolean;
  readonly nofailover: boolean;
  readonly draining: boolean;
  readonly priority: number;
  readonly ollama: 'up' | 'starting' | 'degraded' | 'down' | 'unknown';
  readonly ollamaReason: string;
  readonly ollamaVersion: string;
  readonly ollamaAgeMs: number;
  readonly modelsComplete: number;
  readonly modelsTotal: number;
  readonly bytesBehind: number;
  readonly hot: number;
  readonly hotWanted: number;
  /** What it has loaded. */
  readonly loaded: readonly HotModel[];
  /** Its trouble by name; `unfit`: it serves, but a node without that trouble would serve better. */
  readonly ollamaKind: string;
  readonly unfit: boolean;
  readonly load: number;
  readonly loopLagMs: number;
  readonly lhm: number;
  /** Enforcer proven here. */
  readonly fence: Enforcer;
  readonly vip: 'none' | 'present' | 'absent' | 'unknown';
  /** MAC of the interface that would carry the address; '' = none. */
  readonly mac: string;
  /** MACs that answered for the address when this node last saw any answer, and how long ago; empty = none under this holder. */
  readonly wireMacs: readonly string[];
  readonly wireAgeMs: number;
  /** The active's store shrank suddenly, and this node waits for an operator's word before it deletes. */
  readonly deletionAlert: boolean;
  /** It may not claim before this long; 0 = old enough. */
  readonly youngMs: number;
  /** It lost the role so often lately that it stands behind the others for this long; 0 = it does not. */
  readonly backoffMs: number;
  /** Reasons, in words, why it may not take over now. */
  readonly vetoes: readonly string[];
  readonly version: string;
};

/** A heartbeat. */
export type Frame = {
  readonly v: number;
  readonly vMin: number;
  readonly cluster: string;
  readonly node: NodeId;
  readonly boot: number;
  readonly inc: number;
  readonly seq: number;
  readonly echoSeq: number;
  readonly echoDelayMs: number;
  readonly role: Role;
  readonly lease: LeaseView;
  readonly view: NodeView;
  readonly updates: readonly MemberUpdate[];
  /** Hash of the sender's member table, < 2^53. */
  readonly digest: number;
  readonly maxEpoch: number;
  readonly rosterVersion: number;
  readonly leaving: boolean;
  readonly inventoryVersion: number;
  readonly serversReached: number;
  /** Version and hash of the settings record the sender holds. */
  readonly settingsVersion: number;
  readonly settingsHash: number;
};

/** Facts for membership. */
export type MembershipInput =
  | { readonly k: 'tick' }
  /** A frame received over the authenticated connection of `from`. */
  | { readonly k: 'frame'; readonly from: NodeId; readonly frame: Frame }
  /** A frame of a protocol that is not understood came over the connection of `from`; nothing more of it could be read. */
  | { readonly k: 'foreign'; readonly from: NodeId; readonly protocol: Protocol }
  /** The stream to or from `peer` opened, or closed. `hard`: closed by RST, GOAWAY or refusal, not by us. */
  | { readonly k: 'link'; readonly peer: NodeId; readonly up: boolean; readonly hard: boolean }
  /** Full table received by PushPull from `from`. */
  | { readonly k: 'table'; readonly from: NodeId; readonly members: readonly MemberUpdate[] }
  /** Answer to an indirect probe that `via` made; null = via did not answer at all. */
  | { readonly k: 'probed'; readonly target: NodeId; readonly via: NodeId; readonly ack: boolean | null }
  /** A fresh direct TCP connect to `target` by our own driver. */
  | { readonly k: 'dialled'; readonly target: NodeId; readonly ok: boolean }
  /** A dead or left node is to be forgotten: its row goes, a tombstone stays. Ignored while it lives. */
  | { readonly k: 'forget'; readonly node: NodeId }
  /** The main loop woke late by `lateMs`, and waiting socket reads have been handled since. */
  | { readonly k: 'stall'; readonly lateMs: number }
  /** The main loop woke late, and waiting socket reads have not been handled yet. */
  | { readonly k: 'stalling' };

/** Orders of membership. */
export type MembershipEffect =
  /** Send a heartbeat; dropped, never queued, when the stream is congested. The composition fills role, lease and view. */
  | {
      readonly k: 'heartbeat';
      readonly to: NodeId;
      readonly seq: number;
      readonly echoSeq: number;
      readonly echoDelayMs: number;
      readonly updates: readonly MemberUpdate[];
      readonly digest: number;
      readonly inc: number;
    }
  | { readonly k: 'pushPull'; readonly to: NodeId }
  | { readonly k: 'indirectProbe'; readonly via: NodeId; readonly target: NodeId }
  | { readonly k: 'directProbe'; readonly target: NodeId }
  | { readonly k: 'dial'; readonly peer: NodeId; readonly address: string }
  | {
      readonly k: 'memberEvent';
      readonly node: NodeId;
      readonly from: MemberState | 'unknown';
      readonly to: MemberState;
      readonly why: string;
    }
  /** A node speaks a protocol that is not understood: it is no member until it is upgraded, or this node is. Named once for each protocol. */
  | { readonly k: 'foreign'; readonly node: NodeId; readonly protocol: Protocol }
  /**
   * Two live processes claim one node id. `boot` is the other claim; for the own id the process with the higher boot is the newcomer
   * and must end itself, the older one only raises the alarm.
   */
  | { readonly k: 'duplicateNode'; readonly node: NodeId; readonly boot: number; readonly address: string };

/** What is believed of one peer; read by ranking and status. */
export type Member = {
  readonly node: NodeId;
  readonly address: string;
  readonly boot: number;
  readonly inc: number;
  readonly state: MemberState;
  /** Monotonic ms when the state was entered. */
  readonly since: number;
  /** Accusers of a suspect, first one first. */
  readonly accusers: readonly NodeId[];
  /** Monotonic ms of the last frame from the node itself; -Infinity = never. */
  readonly heardAt: number;
  readonly linked: boolean;
  readonly rttMs: number | null;
  readonly jitterMs: number;
  /** Last frame, null before the first. */
  readonly frame: Frame | null;
  /** The protocol it speaks when that is not understood here; else null, or absent. */
  readonly foreign?: Protocol | null;
};

/** Timing of gossip, ms. */
export type MembershipConfig = {
  readonly node: NodeId;
  readonly boot: number;
  readonly cluster: string;
  readonly address: string;
  /** Known peers at start: id and host:port; self excluded. */
  readonly peers: readonly { readonly node: NodeId; readonly address: string }[];
  readonly heartbeatMs: number;
  readonly stallMs: number;
};
