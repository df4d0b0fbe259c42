// From the file's values to the values in effect: presets, and defaults that follow from other keys.
import { lockDelayLeastMs } from '../core/vip/enforcer.ts';
import { presets } from './presets.ts';
import type { FileConfig } from './schema.ts';

type DeepReadonly<T> = T extends string | number | boolean | null | undefined ? T : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** Wait for the weakest enforcer when the kernel fence is not certain, ms: enough for the script, and so for the lifetime of the address. */
const lockDelayWithoutFenceMs = lockDelayLeastMs.script;

/** Fills in everything that follows from something else. `hostId` is the default of `node.id`. */
export function resolveConfig(input: FileConfig, hostId: string) {
  return freeze(resolved(input, hostId));
}

function resolved(file: FileConfig, hostId: string) {
  const id = file.node.id ?? hostId;
  const managed = file.redis.managed ?? file.redis.servers === undefined;
  const voters = file.redis.voters ?? (managed ? file.cluster.nodes : []);
  const listed = [...file.cluster.nodes, ...voters].find((place) => place.id === id);
  const preset = presets[file.lease.preset];
  return {
    ...file,
    node: { ...file.node, id, address: file.node.address ?? listed?.address ?? '' },
    lease: {
      ...file.lease,
      ttlMs: file.lease.ttlMs ?? preset.ttlMs,
      renewMs: file.lease.renewMs ?? preset.renewMs,
      pollMs: file.lease.pollMs ?? preset.pollMs,
      lockDelayMs: file.lease.lockDelayMs ?? defaultLockDelayMs(file),
    },
    redis: {
      managed,
      port: file.redis.port,
      voters,
      servers: (file.redis.servers ?? []).map((server) => ({
        ...server,
        passwordFile: server.passwordFile ?? null,
        ca: server.ca ?? null,
      })),
      commandTimeoutMs: file.redis.commandTimeoutMs ?? preset.commandTimeoutMs,
    },
    ollama: file.ollama ?? null,
    vip: file.vip === undefined ? null : withAddresses(file.vip),
  };
}

// One list, whichever of the two keys names them.
function withAddresses(vip: NonNullable<FileConfig['vip']>) {
  const addresses = vip.addresses ?? (vip.address === undefined ? [] : [vip.address]);
  return { ...vip, address: vip.address ?? addresses[0] ?? '', addresses };
}

// Without an address nothing outlasts the lease; with a required fence the kernel ends it in time.
function defaultLockDelayMs(file: FileConfig): number {
  if (file.vip === undefined || file.vip.driver === 'none' || file.vip.fence === 'required') return 0;
  return lockDelayWithoutFenceMs;
}

function freeze<T>(value: T): DeepReadonly<T> {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value as DeepReadonly<T>;
}
