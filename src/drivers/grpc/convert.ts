// The edge: bytes and generated types on one side, the core's types on the other. What another host says is checked here in full, and
// nothing here throws: a message is either a value or a reason why it was refused.
import type { HandoverWhy, PeerMessage } from '../../core/io.ts';
import { type Protocol, understands } from '../../core/membership/protocol.ts';
import type { Frame, MemberUpdate } from '../../core/membership/types.ts';
import type { BlobRef, Inventory, StoreModel } from '../../core/replication/types.ts';
import type { Identity, NodeId } from '../../core/types.ts';
import * as wire from '../../gen/peer.ts';
import { frameIn, frameOut, MEMBERS_MAX, updateIn, updateOut } from './convert-frame.ts';
import { settingsIn, settingsOut } from './convert-settings.ts';
import { count, hash, label, labelOrNone, list, type Parsed, parse, refuse, text, uint32, uint64, word } from './fields.ts';

/** One message of the stream, encoded. */
export const ENVELOPE_MAX_BYTES = 8_192;
/** Models in one inventory. */
const MODELS_MAX = 1_000;
/** Loose blobs in one inventory. */
const LOOSE_MAX = 1_000;
/** Bytes of one manifest: a model of tensors names thousands of blobs. The store's own limit. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;

const PATH_MAX = 600;
const VETOES_MAX = 24;
const TEXT_MAX = 256;
const SHORT_MAX = 64;
const VERDICTS = ['accepted', 'nack', 'not_in_roster'] as const;

/** A message of the stream from its bytes. Of a frame whose protocol is not understood, nothing but that protocol is read. */
export function messageIn(bytes: Uint8Array): Parsed<PeerMessage | { readonly k: 'foreign'; readonly protocol: Protocol }> {
  return parse(() => {
    if (bytes.length > ENVELOPE_MAX_BYTES) refuse(`${bytes.length} bytes in one message, ${ENVELOPE_MAX_BYTES} are allowed`);
    const body = wire.Envelope.decode(bytes).body ?? refuse('empty message, or of a later protocol');
    if (body.$case !== 'frame' || understands(body.value)) return bodyIn(body);
    return { k: 'foreign', protocol: { v: body.value.v, vMin: body.value.vMin } };
  });
}

/** The bytes of a message. A frame too large for the wire loses updates first (they are sent again), then its veto texts. */
export function messageOut(msg: PeerMessage): Uint8Array {
  const bytes = encode(msg);
  if (bytes.length <= ENVELOPE_MAX_BYTES || msg.k !== 'frame') return bytes;
  return encode({ k: 'frame', frame: shrunk(msg.frame) });
}

function shrunk(frame: Frame): Frame {
  for (let keep = frame.updates.length >> 1; keep > 0; keep >>= 1) {
    const smaller = { ...frame, updates: frame.updates.slice(0, keep) };
    if (encode({ k: 'frame', frame: smaller }).length <= ENVELOPE_MAX_BYTES) return smaller;
  }
  return { ...frame, updates: [], view: { ...frame.view, vetoes: frame.view.vetoes.slice(0, 8).map((veto) => veto.slice(0, 100)) } };
}

function encode(msg: PeerMessage): Uint8Array {
  return wire.Envelope.encode({ body: bodyOut(msg) }).finish();
}

function bodyOut(msg: PeerMessage): wire.Envelope['body'] {
  switch (msg.k) {
    case 'frame':
      return { $case: 'frame', value: frameOut(msg.frame) };
    case 'stepDown':
      return { $case: msg.k, value: { boot: uint64(msg.boot), epoch: uint64(msg.epoch) } };
    case 'handover': {
      const { cause, by, revokeMs, releaseMs } = msg.why ?? NO_WHY;
      const times = { revokeMs: uint32(revokeMs), releaseMs: uint32(releaseMs) };
      const words = { cause: cause.slice(0, SHORT_MAX), by: by.slice(0, SHORT_MAX) };
      return { $case: msg.k, value: { boot: uint64(msg.boot), epoch: uint64(msg.epoch), ...words, ...times } };
    }
    case 'failsafeRequest': {
      const { boot, epoch, ttlMs, lockDelayMs, round } = msg;
      const value = {
        boot: uint64(boot),
        epoch: uint64(epoch),
        ttlMs: uint32(ttlMs),
        lockDelayMs: uint32(lockDelayMs),
        round: uint64(round),
      };
      return { $case: msg.k, value };
    }
    case 'failsafeReply': {
      const { epoch, round, verdict, nackEpoch } = msg;
      return { $case: msg.k, value: { epoch: uint64(epoch), round: uint64(round), verdict, nackEpoch: uint64(nackEpoch) } };
    }
    case 'switchoverRequest':
      return { $case: msg.k, value: { id: uint64(msg.id), to: msg.to, by: msg.by.slice(0, TEXT_MAX) } };
    case 'switchoverReply': {
      const vetoes = msg.vetoes.slice(0, VETOES_MAX).map((veto) => veto.slice(0, TEXT_MAX));
      return { $case: msg.k, value: { id: uint64(msg.id), accepted: msg.accepted, vetoes } };
    }
    case 'settings':
      return { $case: msg.k, value: settingsOut(msg.settings) };
    case 'forceClaim':
      return { $case: msg.k, value: { id: uint64(msg.id), by: msg.by.slice(0, TEXT_MAX) } };
    case 'rosterRequest':
      return {
        $case: msg.k,
        value: { id: uint64(msg.id), node: msg.node, by: msg.by.slice(0, TEXT_MAX), leaving: msg.leaving, boot: uint64(msg.boot) },
      };
    case 'forgotten':
      return { $case: msg.k, value: { node: msg.node } };
    case 'acceptDeletes':
      return { $case: msg.k, value: { epoch: uint64(msg.epoch), by: msg.by.slice(0, TEXT_MAX) } };
  }
}

function bodyIn(body: NonNullable<wire.Envelope['body']>): PeerMessage {
  switch (body.$case) {
    case 'frame':
      return { k: 'frame', frame: frameIn(body.value) };
    case 'stepDown':
      return { k: body.$case, boot: count(body.value.boot, 'boot'), epoch: count(body.value.epoch, 'epoch') };
    case 'handover':
      return handoverIn(body.value);
    case 'failsafeRequest': {
      const { boot, epoch, ttlMs, lockDelayMs, round } = body.value;
      return { k: body.$case, boot: count(boot, 'boot'), epoch: count(epoch, 'epoch'), ttlMs, lockDelayMs, round: count(round, 'round') };
    }
    case 'failsafeReply': {
      const { epoch, round, verdict, nackEpoch } = body.value;
      const checked = word(verdict, VERDICTS, 'verdict');
      return {
        k: body.$case,
        epoch: count(epoch, 'epoch'),
        round: count(round, 'round'),
        verdict: checked,
        nackEpoch: count(nackEpoch, 'nack_epoch'),
      };
    }
    case 'switchoverRequest':
      return {
        k: body.$case,
        id: count(body.value.id, 'id'),
        to: labelOrNone(body.value.to, 'to'),
        by: text(body.value.by, TEXT_MAX, 'by'),
      };
    case 'switchoverReply': {
      const vetoes = list(body.value.vetoes, VETOES_MAX, 'vetoes').map((veto) => text(veto, TEXT_MAX, 'vetoes'));
      return { k: body.$case, id: count(body.value.id, 'id'), accepted: body.value.accepted, vetoes };
    }
    case 'settings':
      return { k: body.$case, settings: settingsIn(body.value) };
    case 'forceClaim':
      return { k: body.$case, id: count(body.value.id, 'id'), by: text(body.value.by, TEXT_MAX, 'by') };
    case 'rosterRequest': {
      const { id, node, by, leaving, boot } = body.value;
      return {
        k: body.$case,
        id: count(id, 'id'),
        node: label(node, 'node'),
        by: text(by, TEXT_MAX, 'by'),
        leaving,
        boot: count(boot, 'boot'),
      };
    }
    case 'forgotten':
      return { k: body.$case, node: label(body.value.node, 'node') };
    case 'acceptDeletes':
      return { k: body.$case, epoch: count(body.value.epoch, 'epoch'), by: text(body.value.by, TEXT_MAX, 'by') };
  }
}

const NO_WHY: HandoverWhy = { cause: '', by: '', revokeMs: 0, releaseMs: 0 };

/** A node of an earlier version says nothing about the why. */
function handoverIn(w: wire.Handover): Extract<PeerMessage, { k: 'handover' }> {
  const base = { k: 'handover', boot: count(w.boot, 'boot'), epoch: count(w.epoch, 'epoch') } as const;
  if (w.cause === '') return base;
  const words = { cause: text(w.cause, SHORT_MAX, 'cause'), by: text(w.by, SHORT_MAX, 'by') };
  return { ...base, why: { ...words, revokeMs: w.revokeMs, releaseMs: w.releaseMs } };
}

/** A table for PushPull. */
export function tableOut(cluster: string, self: Identity, members: readonly MemberUpdate[]): wire.MemberTable {
  return { cluster, node: self.node, boot: uint64(self.boot), members: members.slice(0, MEMBERS_MAX).map(updateOut) };
}

/** The rows of a table that `from` sent; `from` is the name in its certificate. */
export function tableIn(table: wire.MemberTable, cluster: string, from: NodeId): Parsed<readonly MemberUpdate[]> {
  return parse(() => {
    if (table.cluster !== cluster) refuse(`table of cluster ${JSON.stringify(table.cluster.slice(0, 80))}`);
    if (table.node !== from) refuse('table in the name of another node');
    return list(table.members, MEMBERS_MAX, 'members').map(updateIn);
  });
}

/** The target of an indirect probe. */
export function probeIn(request: wire.ProbeRequest): Parsed<NodeId> {
  return parse(() => label(request.target, 'target'));
}

/** An inventory for the wire. */
export function inventoryOut(answer: {
  readonly inventory: Inventory;
  readonly epoch: number;
  readonly boot: number;
}): wire.InventoryReply {
  const { inventory, epoch, boot } = answer;
  const full = inventory.models.length > MODELS_MAX;
  const refused = full ? `the store holds more than ${MODELS_MAX} models` : (inventory.refused ?? '');
  return {
    boot: uint64(boot),
    epoch: uint64(epoch),
    version: uint64(inventory.version),
    models: inventory.models.slice(0, MODELS_MAX).map(modelOut),
    refused: refused.slice(0, TEXT_MAX),
    loose: (inventory.loose ?? []).slice(0, LOOSE_MAX).map((ref) => ({ digest: ref.digest, sizeBytes: uint64(ref.sizeBytes) })),
  };
}

/** A peer's inventory. */
export function inventoryIn(
  reply: wire.InventoryReply,
): Parsed<{ readonly inventory: Inventory; readonly epoch: number; readonly boot: number }> {
  return parse(() => {
    const loose = list(reply.loose, LOOSE_MAX, 'loose').map(looseIn);
    return {
      boot: count(reply.boot, 'boot'),
      epoch: count(reply.epoch, 'epoch'),
      inventory: {
        version: count(reply.version, 'version'),
        models: list(reply.models, MODELS_MAX, 'models').map(modelIn),
        refused: reply.refused === '' ? null : text(reply.refused, TEXT_MAX, 'refused'),
        ...(loose.length === 0 ? {} : { loose }),
      },
    };
  });
}

function looseIn({ digest, sizeBytes }: wire.LooseBlob): BlobRef {
  return { digest: hash(digest, 'loose.digest'), sizeBytes: count(sizeBytes, 'loose.size_bytes') };
}

/** What a manifest request asks for. */
export function manifestAskIn(request: wire.ManifestRequest): Parsed<{ readonly path: string; readonly digest: string }> {
  return parse(() => ({ path: modelPath(request.path), digest: hash(request.manifestDigest, 'manifest_digest') }));
}

function modelOut(model: StoreModel): wire.Model {
  return {
    path: model.path,
    manifestDigest: model.manifestDigest,
    manifestBytes: uint64(model.manifestBytes),
    sizeBytes: uint64(model.sizeBytes),
    complete: model.complete,
    weightsDigest: model.weights,
    missingBytes: uint64(model.missingBytes),
  };
}

function modelIn(model: wire.Model): StoreModel {
  return {
    path: modelPath(model.path),
    manifestDigest: hash(model.manifestDigest, 'manifest_digest'),
    manifestBytes: count(model.manifestBytes, 'manifest_bytes'),
    sizeBytes: count(model.sizeBytes, 'size_bytes'),
    complete: model.complete,
    weights: model.weightsDigest === '' ? '' : hash(model.weightsDigest, 'weights_digest'),
    missingBytes: count(model.missingBytes, 'missing_bytes'),
  };
}

/** Four parts, none of which can climb. The store checks the full grammar again before a path is used. */
function modelPath(path: string): string {
  const good = path.length <= PATH_MAX && /^[A-Za-z0-9_][A-Za-z0-9_.:-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*){3}$/.test(path);
  return good ? path : refuse('path is not host/namespace/model/tag');
}
