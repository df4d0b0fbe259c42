// Heartbeats between the generated types and the core's.
import type { HotModel } from '../../core/hotset/types.ts';
import type { Frame, LeaseView, MemberUpdate, NodeView } from '../../core/membership/types.ts';
import type * as wire from '../../gen/peer.ts';
import { address, count, int32, label, labelOrNone, list, refuse, text, uint32, uint64, word } from './fields.ts';

/** Updates read from one frame. */
const UPDATES_MAX = 128;
/** Members in one table. */
export const MEMBERS_MAX = 256;

const TEXT_MAX = 256;
const VETOES_MAX = 24;
const SHORT_MAX = 64;
const PHASES_MAX = 16;
const MACS_MAX = 4;
const LOADED_MAX = 16;

const ROLES = ['active', 'standby', 'witness'] as const;
const MODES = ['redis', 'failsafe', 'none'] as const;
const STATES = ['alive', 'suspect', 'dead', 'left'] as const;
const OLLAMA = ['up', 'starting', 'degraded', 'down', 'unknown'] as const;
const FENCES = ['nft', 'valid_lft', 'script', 'none'] as const;
const VIPS = ['none', 'present', 'absent', 'unknown'] as const;

/** A checked frame; throws inside `parse`. */
export function frameIn(w: wire.Frame): Frame {
  return {
    v: w.v,
    vMin: w.vMin,
    cluster: label(w.cluster, 'cluster'),
    node: label(w.node, 'node'),
    boot: count(w.boot, 'boot'),
    inc: count(w.inc, 'inc'),
    seq: count(w.seq, 'seq'),
    echoSeq: count(w.echoSeq, 'echo_seq'),
    echoDelayMs: w.echoDelayMs,
    role: word(w.role, ROLES, 'role'),
    lease: leaseIn(w.lease ?? refuse('lease is missing')),
    view: viewIn(w.view ?? refuse('view is missing')),
    updates: list(w.updates, UPDATES_MAX, 'updates').map(updateIn),
    digest: count(w.digest, 'digest'),
    maxEpoch: count(w.maxEpoch, 'max_epoch'),
    rosterVersion: count(w.rosterVersion, 'roster_version'),
    leaving: w.leaving,
    inventoryVersion: count(w.inventoryVersion, 'inventory_version'),
    serversReached: w.serversReached,
    settingsVersion: count(w.settingsVersion, 'settings_version'),
    settingsHash: count(w.settingsHash, 'settings_hash'),
  };
}

/** A frame for the wire. Numbers are made to fit, texts are cut: what we send must pass the other side's checks. */
export function frameOut(f: Frame): wire.Frame {
  return {
    v: f.v,
    vMin: f.vMin,
    cluster: f.cluster,
    node: f.node,
    boot: uint64(f.boot),
    inc: uint64(f.inc),
    seq: uint64(f.seq),
    echoSeq: uint64(f.echoSeq),
    echoDelayMs: uint32(f.echoDelayMs),
    role: f.role,
    lease: leaseOut(f.lease),
    view: viewOut(f.view),
    updates: f.updates.slice(0, UPDATES_MAX).map(updateOut),
    digest: uint64(f.digest),
    maxEpoch: uint64(f.maxEpoch),
    rosterVersion: uint64(f.rosterVersion),
    leaving: f.leaving,
    inventoryVersion: uint64(f.inventoryVersion),
    serversReached: uint32(f.serversReached),
    settingsVersion: uint64(f.settingsVersion),
    settingsHash: uint64(f.settingsHash),
  };
}

/** A checked line about a member; throws inside `parse`. */
export function updateIn(w: wire.MemberUpdate): MemberUpdate {
  return {
    node: label(w.node, 'update.node'),
    boot: count(w.boot, 'update.boot'),
    inc: count(w.inc, 'update.inc'),
    state: word(w.state, STATES, 'update.state'),
    by: label(w.by, 'update.by'),
    ageMs: w.ageMs,
    address: address(w.address, 'update.address'),
  };
}

/** A line about a member for the wire. */
export function updateOut(u: MemberUpdate): wire.MemberUpdate {
  return { ...u, boot: uint64(u.boot), inc: uint64(u.inc), ageMs: uint32(u.ageMs) };
}

function leaseIn(w: wire.LeaseView): LeaseView {
  return {
    epoch: count(w.epoch, 'lease.epoch'),
    holder: labelOrNone(w.holder, 'lease.holder'),
    holderBoot: count(w.holderBoot, 'lease.holder_boot'),
    lastAckAgeMs: w.lastAckAgeMs,
    leftMs: w.leftMs,
    ttlMs: w.ttlMs,
    mode: word(w.mode, MODES, 'lease.mode'),
    lockDelayMs: w.lockDelayMs,
    cause: text(w.cause, SHORT_MAX, 'lease.cause'),
    from: labelOrNone(w.from, 'lease.from'),
    by: text(w.by, SHORT_MAX, 'lease.by'),
    phasesMs: phasesIn(w.phasesMs),
  };
}

function phasesIn(phases: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const entries = list(Object.entries(phases), PHASES_MAX, 'lease.phases_ms');
  return Object.fromEntries(
    entries.map(([name, ms]) => [
      text(name, SHORT_MAX, 'lease.phases_ms'),
      Number.isFinite(ms) ? ms : refuse('lease.phases_ms is not a number'),
    ]),
  );
}

function leaseOut(l: LeaseView): wire.LeaseView {
  return {
    epoch: uint64(l.epoch),
    holder: l.holder,
    holderBoot: uint64(l.holderBoot),
    lastAckAgeMs: uint32(l.lastAckAgeMs),
    leftMs: uint32(l.leftMs),
    ttlMs: uint32(l.ttlMs),
    mode: l.mode,
    lockDelayMs: uint32(l.lockDelayMs),
    cause: l.cause.slice(0, SHORT_MAX),
    from: l.from,
    by: l.by.slice(0, SHORT_MAX),
    phasesMs: Object.fromEntries(Object.entries(l.phasesMs).slice(0, PHASES_MAX)),
  };
}

function viewIn(w: wire.NodeView): NodeView {
  return {
    candidate: w.candidate,
    nofailover: w.nofailover,
    draining: w.draining,
    priority: w.priority,
    ollama: word(w.ollama, OLLAMA, 'view.ollama'),
    ollamaReason: text(w.ollamaReason, TEXT_MAX, 'view.ollama_reason'),
    ollamaVersion: text(w.ollamaVersion, SHORT_MAX, 'view.ollama_version'),
    ollamaAgeMs: w.ollamaAgeMs,
    modelsComplete: w.modelsComplete,
    modelsTotal: w.modelsTotal,
    bytesBehind: count(w.bytesBehind, 'view.bytes_behind'),
    hot: w.hot,
    hotWanted: w.hotWanted,
    loaded: list(w.loaded, LOADED_MAX, 'view.loaded').map(loadedIn),
    ollamaKind: text(w.ollamaKind, SHORT_MAX, 'view.ollama_kind'),
    unfit: w.unfit,
    load: w.load,
    loopLagMs: w.loopLagMs,
    lhm: w.lhm,
    fence: word(w.fence, FENCES, 'view.fence'),
    vip: word(w.vip, VIPS, 'view.vip'),
    mac: text(w.mac, SHORT_MAX, 'view.mac'),
    wireMacs: list(w.wireMacs, MACS_MAX, 'view.wire_macs').map((mac) => text(mac, SHORT_MAX, 'view.wire_macs')),
    wireAgeMs: w.wireAgeMs,
    deletionAlert: w.deletionAlert,
    youngMs: w.youngMs,
    backoffMs: w.backoffMs,
    vetoes: list(w.vetoes, VETOES_MAX, 'view.vetoes').map((veto) => text(veto, TEXT_MAX, 'view.vetoes')),
    version: text(w.version, SHORT_MAX, 'view.version'),
  };
}

function loadedIn(w: wire.LoadedModel): HotModel {
  return {
    name: text(w.name, TEXT_MAX, 'view.loaded.name'),
    weights: text(w.weights, SHORT_MAX, 'view.loaded.weights'),
    contextLength: w.contextLength === 0 ? null : w.contextLength,
    sizeBytes: count(w.sizeBytes, 'view.loaded.size_bytes'),
    forever: w.forever,
  };
}

function loadedOut(m: HotModel): wire.LoadedModel {
  return {
    name: m.name.slice(0, TEXT_MAX),
    weights: m.weights.slice(0, SHORT_MAX),
    contextLength: uint32(m.contextLength ?? 0),
    sizeBytes: uint64(m.sizeBytes),
    forever: m.forever,
  };
}

function viewOut(v: NodeView): wire.NodeView {
  return {
    candidate: v.candidate,
    nofailover: v.nofailover,
    draining: v.draining,
    priority: int32(v.priority),
    ollama: v.ollama,
    ollamaReason: v.ollamaReason.slice(0, TEXT_MAX),
    ollamaVersion: v.ollamaVersion.slice(0, SHORT_MAX),
    ollamaAgeMs: uint32(v.ollamaAgeMs),
    modelsComplete: uint32(v.modelsComplete),
    modelsTotal: uint32(v.modelsTotal),
    bytesBehind: uint64(v.bytesBehind),
    hot: uint32(v.hot),
    hotWanted: uint32(v.hotWanted),
    loaded: v.loaded.slice(0, LOADED_MAX).map(loadedOut),
    ollamaKind: v.ollamaKind.slice(0, SHORT_MAX),
    unfit: v.unfit,
    load: uint32(v.load),
    loopLagMs: uint32(v.loopLagMs),
    lhm: uint32(v.lhm),
    fence: v.fence,
    vip: v.vip,
    mac: v.mac.slice(0, SHORT_MAX),
    wireMacs: v.wireMacs.slice(0, MACS_MAX).map((mac) => mac.slice(0, SHORT_MAX)),
    wireAgeMs: uint32(v.wireAgeMs),
    deletionAlert: v.deletionAlert,
    youngMs: uint32(v.youngMs),
    backoffMs: uint32(v.backoffMs),
    vetoes: v.vetoes.slice(0, VETOES_MAX).map((veto) => veto.slice(0, TEXT_MAX)),
    version: v.version.slice(0, SHORT_MAX),
  };
}
