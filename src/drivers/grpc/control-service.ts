// What this node answers to operators: on the Unix socket to whoever may open it, on the peer port to operator and node certificates.
import { type handleUnaryCall, Metadata, type ServerUnaryCall, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { type ControlCaller, ControlError, type ControlHandlers } from '../../agent/control.ts';
import type {
  ExplainRequest,
  FailoverCommand,
  ForgetCommand,
  HistoryRequest,
  LeaveCommand,
  MaintenanceCommand,
  PauseCommand,
  SwitchoverCommand,
} from '../../gen/control.ts';
import { alertsHandlers } from './alerts-service.ts';
import { callerOf, failure, forbidden } from './caller.ts';
import { explainOut, historyOut, modelsOut, outcomeOut, statusOut } from './convert-control.ts';
import { count, labelOrNone, parse, text } from './fields.ts';
import { replicationHandlers } from './replication-service.ts';

const HISTORY_MAX = 1_000;
const BY_MAX = 128;

const CODES = {
  not_found: status.NOT_FOUND,
  invalid: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
  refused: status.FAILED_PRECONDITION,
} as const;

/** Where calls come from: `cluster` = over TLS with certificates of this cluster; null = over the local socket. */
export type ControlGate = { readonly cluster: string | null };

/** Handlers for the Control service. */
export function controlHandlers(handlers: ControlHandlers, gate: ControlGate): UntypedServiceImplementation {
  function unary<Req, Res>(answer: (request: Req, caller: ControlCaller) => Promise<Res>): handleUnaryCall<Req, Res> {
    return (call, callback) => {
      const caller = admitted(call, gate);
      if (caller === null) {
        callback(forbidden(null, 'control needs an operator or node certificate'));
        return;
      }
      answer(call.request, caller).then(
        (reply) => callback(null, reply),
        (cause: unknown) => callback(errorFor(cause)),
      );
    };
  }

  return {
    status: unary(async (_request: unknown, caller) => statusOut(await handlers.status(caller))),
    models: unary(async (_request: unknown, caller) => modelsOut(await handlers.models(caller))),
    explain: unary(async (request: ExplainRequest, caller) => {
      return explainOut(await handlers.explain({ node: nodeIn(request.node) }, caller));
    }),
    history: unary(async (request: HistoryRequest, caller) => {
      return historyOut(await handlers.history({ limit: Math.min(HISTORY_MAX, request.limit) }, caller));
    }),
    switchover: unary(async (request: SwitchoverCommand, caller) => {
      const { dryRun, cancel } = request;
      const order = { to: nodeIn(request.to), by: byIn(request.by), dryRun, cancel, atMs: msIn(request.atMs, 'at_ms') };
      return outcomeOut(await handlers.switchover(order, caller));
    }),
    pause: unary(async ({ paused, by, wait }: PauseCommand, caller) => {
      return outcomeOut(await handlers.pause({ paused, by: byIn(by), wait }, caller));
    }),
    maintenance: unary(async ({ node, on, by, wait, drain, drainMs }: MaintenanceCommand, caller) => {
      const order = { node: nodeIn(node), on, by: byIn(by), wait, drainMs: drain ? msIn(drainMs, 'drain_ms') : null };
      return outcomeOut(await handlers.maintenance(order, caller));
    }),
    failover: unary(async ({ to, by }: FailoverCommand, caller) => {
      return outcomeOut(await handlers.failover({ to: nodeIn(to), by: byIn(by) }, caller));
    }),
    leave: unary(async ({ by }: LeaveCommand, caller) => outcomeOut(await handlers.leave({ by: byIn(by) }, caller))),
    forget: unary(async ({ node, by }: ForgetCommand, caller) => {
      if (node === '') throw new ControlError('invalid', 'no node is named', 'agentctl forget NODE; see agentctl status');
      return outcomeOut(await handlers.forget({ node: nodeIn(node), by: byIn(by) }, caller));
    }),
    ...replicationHandlers(handlers, unary),
    ...alertsHandlers(handlers, unary),
  };
}

function admitted(call: ServerUnaryCall<unknown, unknown>, gate: ControlGate): ControlCaller | null {
  const over = new AbortController();
  call.on('cancelled', () => over.abort());
  if (gate.cluster === null) return { via: 'socket', name: '', signal: over.signal };
  const caller = callerOf(call, gate.cluster);
  return caller === null ? null : { via: caller.kind, name: caller.name, signal: over.signal };
}

function nodeIn(node: string): string {
  const parsed = parse(() => labelOrNone(node, 'node'));
  if (parsed.ok) return parsed.value;
  throw new ControlError(
    'invalid',
    `${JSON.stringify(node.slice(0, 80))} is not a node id`,
    'node ids are lower-case DNS labels; see agentctl status',
  );
}

function byIn(by: string): string {
  const parsed = parse(() => text(by, BY_MAX, 'by'));
  if (parsed.ok) return parsed.value;
  throw new ControlError('invalid', parsed.reason, `give at most ${BY_MAX} characters`);
}

function msIn(ms: bigint, field: string): number {
  const parsed = parse(() => count(ms, field));
  if (parsed.ok) return parsed.value;
  throw new ControlError('invalid', parsed.reason, 'give a time in milliseconds');
}

/** The operator's error with its hint; a bug's text stays in the agent. The hint also travels as metadata, for programs. */
function errorFor(cause: unknown): ReturnType<typeof failure> {
  if (!(cause instanceof ControlError)) return failure(status.INTERNAL, 'the agent failed to answer; its log says why');
  const error = failure(CODES[cause.code], cause.hint === '' ? cause.message : `${cause.message}; try: ${cause.hint}`);
  const metadata = new Metadata();
  metadata.set('hint-bin', Buffer.from(cause.hint, 'utf8'));
  return Object.assign(error, { metadata });
}
