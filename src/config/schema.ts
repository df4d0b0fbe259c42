// The configuration file as zod sees it: one commented entry per key. docs/configuration.md is generated from these descriptions.
// Relations between keys stand in rules.ts, values that follow from others (presets, defaults from the node list) in resolve.ts.
import { z } from 'zod';
import { parseWindow } from '../core/replication/window.ts';
import { isCidr } from './cidr.ts';
import { presetNames } from './presets.ts';
import type { resolveConfig } from './resolve.ts';
import { alertsSchema } from './schema-alerts.ts';
import { grpcSchema } from './schema-grpc.ts';
import { healthSchema, hotSetSchema } from './schema-health.ts';
import { nginxSchema } from './schema-nginx.ts';

const label = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, { error: 'must be a DNS label: small letters, digits and inner hyphens, at most 63' });
const address = z.string().regex(/^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/, {
  error: 'must be an IP address or a host name, without a port',
});
const file = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, { error: 'must be an absolute path' });
const port = z.int().min(1).max(65535);
const ms = (min: number, max: number) => z.int().min(min).max(max);
const names = z.array(z.string().min(1).max(256)).max(1000);

const cidr = z.string().max(64).refine(isCidr, { error: 'must be an IPv4 or IPv6 address with its prefix length, such as 10.77.0.100/24' });

const place = z.strictObject({
  id: label.describe('Node id, a DNS label.'),
  address: address.describe('Address at which the other agents reach it.'),
});

const redisServer = z.strictObject({
  host: address.describe('Address of the server.'),
  port: port.default(6379).describe('Its port.'),
  tls: z.boolean().default(true).describe('Talk TLS to it.'),
  user: z.string().min(1).max(128).default('ha').describe('ACL user.'),
  passwordFile: file.optional().describe('File with the password, not readable by others. Without it: no password.'),
  ca: file.optional().describe("CA that signed the server's certificate. Without it: the system's CAs."),
});

const node = z.strictObject({
  id: label.optional().describe('Name of this node, unique in the cluster. Default: the host name up to its first dot.'),
  address: address.optional().describe('Address of this node. Default: the one listed for its id in `cluster.nodes` or `redis.voters`.'),
  priority: z
    .int()
    .min(-1000)
    .max(1000)
    .default(0)
    .describe('Higher is preferred as heir, after fitness, loaded models and what is left to copy.'),
  nofailover: z.boolean().default(false).describe('true: this node never becomes active.'),
});

const cluster = z.strictObject({
  name: label.describe('Name of the cluster, a DNS label; part of every certificate and of the Redis key.'),
  nodes: z.array(place).min(1).max(64).describe('The Ollama nodes. The same list on every node.'),
  secretFile: file
    .default('/etc/ollama-ha/secret')
    .describe('File with the cluster secret (at least 32 characters, the same everywhere), source of the Redis password.'),
});

const pki = z.strictObject({
  ca: file.default('/etc/ollama-ha/pki/ca.crt').describe("The cluster's CA certificate."),
  cert: file.default('/etc/ollama-ha/pki/node.crt').describe("This node's certificate."),
  key: file.default('/etc/ollama-ha/pki/node.key').describe("This node's private key."),
});

const ports = z.strictObject({
  peer: port.default(11440).describe('Agents and `agentctl --host` (gRPC, TLS).'),
  blobs: port.default(11441).describe('Model data between nodes (TLS).'),
});

const gossip = z.strictObject({
  heartbeatMs: ms(50, 5000).default(200).describe('Period of the heartbeats between agents.'),
});

const lease = z.strictObject({
  preset: z.enum(presetNames).default('standard').describe('Named timing; the keys below override single values of it.'),
  failsafe: z
    .enum(['off', 'unanimous'])
    .default('unanimous')
    .describe('unanimous: with every Redis server down the active goes on while all members agree. off: it stops.'),
  ttlMs: ms(500, 10_000).optional().describe('Length of a lease. Default: of the preset.'),
  renewMs: ms(20, 5000).optional().describe('Period of its renewal. Default: of the preset.'),
  pollMs: ms(10, 5000).optional().describe('Period at which standbys look at it. Default: of the preset.'),
  guardMs: ms(10, 1000).default(50).describe('The active stops this long before the end of its lease.'),
  driftPpm: ms(0, 50_000).default(5000).describe('Bound on the difference in clock rate between two hosts, parts per million.'),
  lockDelayMs: ms(0, 60_000)
    .optional()
    .describe(
      'Extra wait of a claimer where the kernel fence is not proven. Default: 0 with `vip.fence: required` or without an address, else 1300; 3700 also covers a dead-man script that hangs.',
    ),
  claimTimeoutMs: ms(50, 10_000).default(250).describe('A claim without a majority by then has failed.'),
  backoffMs: z
    .tuple([ms(1, 10_000), ms(1, 10_000)])
    .default([30, 400])
    .describe('Least and longest wait after a failed claim.'),
  heirGraceMs: ms(0, 10_000).default(300).describe('Who is not the named heir leaves a released lease alone for this long.'),
  rankDelayMs: ms(0, 10_000).default(150).describe('The heir of rank r bids r times this later.'),
});

const redis = z.strictObject({
  managed: z
    .boolean()
    .optional()
    .describe('true: each voter runs its own redis-server as a child of the agent. Default: true, unless `servers` is given.'),
  port: port.default(11442).describe('Port of the managed servers (TLS).'),
  voters: z
    .array(place)
    .min(1)
    .max(5)
    .optional()
    .describe('Nodes with a vote: 1, 3 or 5, the same list everywhere; a witness stands here only. Default: `cluster.nodes`.'),
  servers: z
    .array(redisServer)
    .min(1)
    .max(5)
    .optional()
    .describe('External Redis servers instead of managed ones: 1, 3 or 5 independent ones, the same list everywhere.'),
  commandTimeoutMs: ms(10, 5000).optional().describe('Time for one Redis command. Default: 150, with preset ultra 100.'),
});

const ollama = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
    .default('http://127.0.0.1:11434')
    .describe('The local Ollama.'),
  store: file.default('/usr/share/ollama/.ollama/models').describe('Its model store on disk.'),
  required: names.default([]).describe('Models without which this node does not take over.'),
  probeMs: ms(100, 60_000).default(1000).describe('Period of the health probe.'),
  timeoutMs: ms(100, 60_000).default(2000).describe('Time for one probe.'),
  failures: ms(1, 100).default(3).describe('Probes without an answer until Ollama counts as down; a refused connection needs none.'),
});

const vip = z.strictObject({
  driver: z
    .enum(['keepalived', 'address', 'none'])
    .default('keepalived')
    .describe('Who moves the address: keepalived, the agent itself (address), or nobody (none).'),
  address: cidr
    .optional()
    .describe('The virtual address, IPv4 or IPv6, with its prefix length. No node may have it as its own. Required without `addresses`.'),
  addresses: z
    .array(cidr)
    .min(1)
    .max(8)
    .optional()
    .describe('Several virtual addresses in place of `address`, of one or both families. They move together.'),
  interface: z
    .string()
    .regex(/^[^\s/:]{1,15}$/, { error: 'must be the name of a network interface, at most 15 characters' })
    .describe('Interface that carries it.'),
  virtualRouterId: ms(1, 255).default(77).describe('VRRP id, unique in the network segment (keepalived only).'),
  deadlineScript: file
    .default('/usr/libexec/ollama-ha/vip-deadline')
    .describe('Script by which keepalived takes the address off when the agent stands still. Its directory must belong to root.'),
  fence: z
    .enum(['required', 'preferred', 'off'])
    .default('required')
    .describe(
      'Kernel fence (nftables). required: no claim without it. preferred: used where it works. off: never. Without it the lifetime of the address (ttlMs of at least 2000) or the dead-man script ends the address, and a claimer waits `lease.lockDelayMs` longer.',
    ),
});

const replication = z.strictObject({
  include: names.default(['*']).describe('Patterns of models to copy.'),
  exclude: names.default([]).describe('Patterns of models not to copy; wins over `include`.'),
  bytesPerSecondMax: z.int().min(0).default(0).describe('Limit of the copying rate in bytes per second; 0 = none.'),
  concurrency: ms(1, 16).default(2).describe('Blobs copied at the same time.'),
  reserveBytes: z.int().min(0).default(1_073_741_824).describe('Copying stops before less than this is free on the disk.'),
  window: z
    .string()
    .refine((text) => parseWindow(text) !== null, { error: 'must be two times of the day, such as 22:00-06:00' })
    .optional()
    .describe('Daily window for copying, local time, such as 22:00-06:00; outside it only required models are copied. Default: always.'),
  delete: z
    .enum(['never', 'follow'])
    .default('follow')
    .describe('follow: what is deleted on the active goes here too, into the quarantine. never: models stay here.'),
  graceMs: ms(1000, 30 * 86_400_000)
    .default(600_000)
    .describe('From a deletion on the active to the one here.'),
  deleteMaxPerPass: ms(1, 1000).default(3).describe('Models deleted here within one minute, at most.'),
  quarantineMs: ms(0, 365 * 86_400_000)
    .default(7 * 86_400_000)
    .describe('Deleted and replaced models are kept this long, or until the disk is full.'),
  scrub: z
    .strictObject({
      everyMs: ms(0, 365 * 86_400_000)
        .default(7 * 86_400_000)
        .describe('Pause between two readings of every blob; 0 = never.'),
      bytesPerSecondMax: z.int().min(0).default(52_428_800).describe('Rate of that reading in bytes per second; 0 = no limit.'),
    })
    .prefault({})
    .describe('Blobs at rest are read anew now and then, and compared with their digest.'),
});

const http = z.strictObject({
  listen: z
    .string()
    .regex(/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, { error: 'must be ADDRESS:PORT' })
    .default('127.0.0.1:11443')
    .describe('Address and port of health checks and metrics.'),
  tokenFile: file
    .optional()
    .describe(
      'File with the bearer token for changes, and for the status page and the events where `listen` is not loopback. Without it they are refused.',
    ),
});

const paths = z.strictObject({
  state: file.default('/var/lib/ollama-ha').describe('What must outlive a reboot.'),
  run: file.default('/run/ollama-ha').describe('Sockets and files of the running agent.'),
});

const log = z.strictObject({
  level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level that is written.'),
});

/** The file. Unknown keys are errors everywhere. */
export const fileSchema = z.strictObject({
  node: node.prefault({}).describe('This node.'),
  cluster: cluster.describe('The cluster; the same on every node.'),
  pki: pki.prefault({}).describe('Certificates, made by `agentctl pki`.'),
  ports: ports.prefault({}).describe('Where the agent listens; the same on every node.'),
  grpc: grpcSchema.prefault({}).describe('The gRPC services beside the own ones.'),
  gossip: gossip.prefault({}).describe('Heartbeats between agents.'),
  lease: lease.prefault({}).describe('How long the active may act without news, and so how long a failover takes.'),
  redis: redis.prefault({}).describe('The servers that vote on the lease.'),
  ollama: ollama.optional().describe('The local Ollama. Its presence makes this node a candidate; a witness has no such section.'),
  vip: vip.optional().describe('The virtual address. Its presence lets this node carry it.'),
  health: healthSchema.prefault({}).describe('Limits of the evidence about the local Ollama, and what may be done about a trouble.'),
  hotSet: hotSetSchema.prefault({}).describe('Which models a node keeps in memory.'),
  nginx: nginxSchema
    .optional()
    .describe('An upstream file for nginx. Its presence makes this host a balancer; it needs no Ollama and no vote.'),
  replication: replication.prefault({}).describe('Which models a standby copies from the active.'),
  http: http.prefault({}).describe('Health checks and metrics over HTTP.'),
  paths: paths.prefault({}).describe('Directories of the agent.'),
  log: log.prefault({}).describe('Logging.'),
  alerts: alertsSchema.prefault({}).describe('Messages to people: webhooks.'),
});

/** The file's content after zod, before presets and derived defaults. */
export type FileConfig = z.infer<typeof fileSchema>;

/** The configuration in effect: every value set, sections that are off are null, nothing can be changed. */
export type Config = ReturnType<typeof resolveConfig>;
