// The standard health service (grpc.health.v1). It says whether this agent works, not whether it is active: being a standby is no illness.
import { type handleServerStreamingCall, type handleUnaryCall, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { type HealthCheckRequest, type HealthCheckResponse, HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/health.ts';
import { failure } from './caller.ts';

const LOOK_EVERY_MS = 500;
const WATCHERS_MAX = 16;

/** What the service is asked about, and the answer. */
export type HealthOptions = {
  /** Full names of the services on this listener. */
  readonly services: readonly string[];
  /** True while the agent works and does not stop. */
  readonly serving: () => boolean;
};

/** Handlers for the Health service. The empty name stands for the agent as a whole. */
export function healthHandlers({ services, serving }: HealthOptions): UntypedServiceImplementation {
  let watchers = 0;
  const known = new Set(['', ...services]);
  const now = () => (serving() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);

  const check: handleUnaryCall<HealthCheckRequest, HealthCheckResponse> = ({ request }, callback) => {
    if (known.has(request.service)) callback(null, { status: now() });
    else callback(failure(status.NOT_FOUND, 'no such service here'));
  };

  const watch: handleServerStreamingCall<HealthCheckRequest, HealthCheckResponse> = (call) => {
    call.on('error', () => {});
    if (watchers >= WATCHERS_MAX) {
      call.emit('error', failure(status.RESOURCE_EXHAUSTED, `more than ${WATCHERS_MAX} watchers`));
      return;
    }
    const of = () => (known.has(call.request.service) ? now() : ServingStatus.SERVICE_UNKNOWN);
    let told = of();
    call.write({ status: told });
    watchers += 1;
    const timer = setInterval(() => {
      const next = of();
      if (next === told) return;
      told = next;
      call.write({ status: told });
    }, LOOK_EVERY_MS);
    timer.unref();
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      clearInterval(timer);
      watchers -= 1;
      call.end();
    };
    call.on('cancelled', end);
    call.on('close', end);
  };

  return { check, watch };
}
