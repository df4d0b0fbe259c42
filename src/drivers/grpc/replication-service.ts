// The calls about the copying of models: requests are checked here, replies become what the generated types want.
import type { handleUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type ControlCaller,
  ControlError,
  type ControlHandlers,
  type ReplicationHandlers,
  type ReplicationOrder,
  type ReplicationView,
  type VerifyView,
} from '../../agent/control.ts';
import type * as wire from '../../gen/control.ts';
import { outcomeOut } from './convert-control.ts';
import { count, int64, list, parse, text, uint32, uint64, word } from './fields.ts';

const ACTIONS = ['pause', 'resume', 'now', 'limit', 'accept-deletes'] as const satisfies readonly ReplicationOrder['action'][];
const BY_MAX = 128;
const NAME_MAX = 700;
const NAMES_MAX = 1000;
const RATE_MAX = 1e12;

/** Wraps an answer into a call, as control-service.ts does. */
type Unary = <Req, Res>(answer: (request: Req, caller: ControlCaller) => Promise<Res>) => handleUnaryCall<Req, Res>;

/** The part of the Control service that concerns replication. */
export function replicationHandlers(handlers: ControlHandlers, unary: Unary): UntypedServiceImplementation {
  const here = (): ReplicationHandlers => {
    if (handlers.replication !== undefined) return handlers.replication;
    throw new ControlError('unavailable', 'this node has no model store', 'ask a node with an ollama: section, by --host');
  };
  return {
    replication: unary(async (_request: unknown, caller) => stateOut(await here().state(caller))),
    replicationOrder: unary(async (request: wire.ReplicationCommand, caller) => {
      const order = checked('the order', () => ({
        action: word(request.action, ACTIONS, 'action'),
        by: text(request.by, BY_MAX, 'by'),
        bytesPerSecondMax: Math.min(RATE_MAX, count(request.bytesPerSecondMax, 'bytes_per_second_max')),
      }));
      return outcomeOut(await here().order(named(order, caller), caller));
    }),
    verify: unary(async (request: wire.VerifyCommand, caller) => {
      const order = checked('the names', () => ({
        id: request.id,
        models: list(request.models, NAMES_MAX, 'models').map((name) => text(name, NAME_MAX, 'models')),
        repair: request.repair,
        by: text(request.by, BY_MAX, 'by'),
      }));
      return verifyOut(await here().verify(named(order, caller), caller));
    }),
    restore: unary(async (request: wire.RestoreCommand, caller) => {
      const order = checked('the names', () => ({
        model: text(request.model, NAME_MAX, 'model'),
        as: text(request.as, NAME_MAX, 'as'),
        by: text(request.by, BY_MAX, 'by'),
      }));
      return outcomeOut(await here().restore(named(order, caller), caller));
    }),
  };
}

function checked<T>(what: string, build: () => T): T {
  const parsed = parse(build);
  if (parsed.ok) return parsed.value;
  throw new ControlError('invalid', `${what} cannot be read: ${parsed.reason}`, 'agentctl and agent should have the same version');
}

/** The certificate's name counts more than what the caller says. */
function named<T extends { readonly by: string }>(order: T, caller: ControlCaller): T {
  return caller.name === '' ? order : { ...order, by: caller.name };
}

function stateOut(view: ReplicationView): wire.ReplicationReply {
  return {
    ...view,
    bytesPerSecondMax: uint64(view.bytesPerSecondMax),
    modelsComplete: uint32(view.modelsComplete),
    modelsTotal: uint32(view.modelsTotal),
    bytesBehind: uint64(view.bytesBehind),
    transfers: view.transfers.map((row) => ({
      ...row,
      doneBytes: uint64(row.doneBytes),
      totalBytes: uint64(row.totalBytes),
      bytesPerSecond: uint64(row.bytesPerSecond),
      etaMs: int64(row.etaMs),
    })),
    deletes: view.deletes.map((row) => ({ ...row, dueInMs: uint64(row.dueInMs) })),
    quarantine: view.quarantine.map((row) => ({ ...row, atMs: uint64(row.atMs), heldBytes: uint64(row.heldBytes) })),
    scrub: {
      ...view.scrub,
      checkedBlobs: uint32(view.scrub.checkedBlobs),
      checkedBytes: uint64(view.scrub.checkedBytes),
      totalBlobs: uint32(view.scrub.totalBlobs),
      corruptBlobs: uint32(view.scrub.corruptBlobs),
      lastDoneAtMs: uint64(view.scrub.lastDoneAtMs),
      nextAtMs: uint64(view.scrub.nextAtMs),
    },
  };
}

function verifyOut(view: VerifyView): wire.VerifyReply {
  return {
    ...view,
    bytes: uint64(view.bytes),
    bytesDone: uint64(view.bytesDone),
    bad: view.bad.map((row) => ({ ...row, sizeBytes: uint64(row.sizeBytes) })),
  };
}
