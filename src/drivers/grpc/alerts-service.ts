// The calls about alerts and the log: requests are checked here, replies become what the generated types want.
import type { handleUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import { type AlertHandlers, type AlertsView, type ControlCaller, ControlError, type ControlHandlers } from '../../agent/control.ts';
import type * as wire from '../../gen/control.ts';
import { outcomeOut } from './convert-control.ts';
import { count, parse, text, uint32, uint64, word } from './fields.ts';

const BY_MAX = 128;
const NAME_MAX = 64;
const LEVELS = ['', 'debug', 'info', 'warn', 'error'] as const;
const FOR_MS_MAX = 86_400_000;

/** Wraps an answer into a call, as control-service.ts does. */
type Unary = <Req, Res>(answer: (request: Req, caller: ControlCaller) => Promise<Res>) => handleUnaryCall<Req, Res>;

/** The part of the Control service that concerns alerts and the log. */
export function alertsHandlers(handlers: ControlHandlers, unary: Unary): UntypedServiceImplementation {
  const here = (): AlertHandlers => {
    if (handlers.alerts !== undefined) return handlers.alerts;
    throw new ControlError('unavailable', 'the agent is starting', 'ask again in a second');
  };
  return {
    alerts: unary(async (_request: unknown, caller) => alertsOut(await here().list(caller))),
    testAlert: unary(async (request: wire.TestAlertCommand, caller): Promise<wire.TestAlertReply> => {
      const order = checked(() => ({ channel: text(request.channel, NAME_MAX, 'channel'), by: text(request.by, BY_MAX, 'by') }));
      return { results: (await here().test(named(order, caller), caller)).map((result) => ({ ...result })) };
    }),
    logLevel: unary(async (request: wire.LogLevelCommand, caller) => {
      const set = handlers.logLevel;
      if (set === undefined)
        throw new ControlError('unavailable', 'this agent cannot change its log level', 'set log.level and restart it');
      const order = checked(() => ({
        level: word(request.level, LEVELS, 'level'),
        forMs: Math.min(FOR_MS_MAX, count(request.forMs, 'for_ms')),
        by: text(request.by, BY_MAX, 'by'),
      }));
      return outcomeOut(await set(named(order, caller), caller));
    }),
  };
}

function named<T extends { readonly by: string }>(order: T, caller: ControlCaller): T {
  return caller.name === '' ? order : { ...order, by: caller.name };
}

function checked<T>(build: () => T): T {
  const parsed = parse(build);
  if (parsed.ok) return parsed.value;
  throw new ControlError('invalid', parsed.reason, 'agentctl alerts --help, agentctl log --help');
}

function alertsOut(view: AlertsView): wire.AlertsReply {
  return {
    asked: view.asked,
    sender: view.sender,
    alerts: view.alerts.map((row) => ({ ...row, sinceMs: uint64(row.sinceMs) })),
    channels: view.channels.map((row) => ({
      ...row,
      queued: uint32(row.queued),
      delivered: uint64(row.delivered),
      dropped: uint64(row.dropped),
      lastOkAtMs: uint64(row.lastOkAtMs),
    })),
  };
}
