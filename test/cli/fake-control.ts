// A control service that answers what a test tells it, on a Unix socket or over TLS, and the answers of a small cluster.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  type AlertsReply,
  type CommandReply,
  type ControlServer,
  ControlService,
  type ExplainReply,
  type HistoryReply,
  type ModelsReply,
  type NodeRow,
  type ReplicationReply,
  type StatusReply,
  type SwitchoverCommand,
  type TestAlertReply,
  type VerifyReply,
} from '../../src/gen/control.ts';

/** What the fake answers; an Error with a gRPC code fails the call, 'hang' never answers. */
export type Answers = {
  status: StatusReply | Failure | 'hang';
  explain: ExplainReply | Failure;
  history: HistoryReply | Failure;
  models: ModelsReply | Failure;
  switchover: CommandReply | Failure | 'hang';
  pause: CommandReply | Failure | 'hang';
  maintenance: CommandReply | Failure | 'hang';
  failover: CommandReply | Failure | 'hang';
  leave: CommandReply | Failure | 'hang';
  forget: CommandReply | Failure | 'hang';
  replication: ReplicationReply | Failure;
  replicationOrder: CommandReply | Failure;
  verify: VerifyReply | Failure;
  restore: CommandReply | Failure;
  alerts: AlertsReply | Failure;
  testAlert: TestAlertReply | Failure;
  logLevel: CommandReply | Failure;
};

/** A failing call. */
export type Failure = { readonly code: number; readonly details: string };

/** A running fake. `switchovers` are the commands of that kind it received, `orders` all requests by call. */
export type FakeControl = {
  readonly socket: string;
  readonly port: number;
  readonly answers: Answers;
  readonly switchovers: SwitchoverCommand[];
  readonly calls: string[];
  readonly orders: (readonly [string, unknown])[];
  readonly stop: () => void;
};

/** TLS material of a fake that listens on 127.0.0.1. */
export type ServerTls = { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };

/** Starts a fake on a socket in a new directory, and with `tls` on a free port of 127.0.0.1 instead. */
export async function startFakeControl(answers: Partial<Answers> = {}, tls?: ServerTls): Promise<FakeControl> {
  const directory = mkdtempSync(join(tmpdir(), 'agentctl-'));
  const socket = join(directory, 'agent.sock');
  const fake = {
    answers: { ...healthyAnswers(), ...answers },
    switchovers: [] as SwitchoverCommand[],
    calls: [] as string[],
    orders: [] as [string, unknown][],
  };
  const server = new Server();
  server.addService(ControlService, serviceOf(fake));
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(tls.ca, [{ private_key: tls.key, cert_chain: tls.cert }], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(tls === undefined ? `unix:${socket}` : '127.0.0.1:0', credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const stop = (): void => {
    server.forceShutdown();
    rmSync(directory, { recursive: true, force: true });
  };
  return { socket, port, stop, ...fake };
}

function serviceOf(fake: Pick<FakeControl, 'answers' | 'switchovers' | 'calls' | 'orders'>): ControlServer {
  const handler =
    (name: keyof Answers) =>
    // biome-ignore lint/suspicious/noExplicitAny: one handler for five message types
    (call: ServerUnaryCall<any, any>, callback: sendUnaryData<any>): void => {
      fake.calls.push(name);
      fake.orders.push([name, call.request]);
      if (name === 'switchover') fake.switchovers.push(call.request);
      const answer = fake.answers[name];
      if (answer === 'hang') return;
      if ('code' in answer) callback({ code: answer.code as status, details: answer.details });
      else callback(null, answer);
    };
  return {
    status: handler('status'),
    explain: handler('explain'),
    history: handler('history'),
    models: handler('models'),
    switchover: handler('switchover'),
    pause: handler('pause'),
    maintenance: handler('maintenance'),
    failover: handler('failover'),
    leave: handler('leave'),
    forget: handler('forget'),
    replication: handler('replication'),
    replicationOrder: handler('replicationOrder'),
    verify: handler('verify'),
    restore: handler('restore'),
    alerts: handler('alerts'),
    testAlert: handler('testAlert'),
    logLevel: handler('logLevel'),
  };
}

/** A reply without an epoch. */
function done(text: string): CommandReply {
  return { outcome: 'done', text, vetoes: [], epoch: 0n, phasesMs: {} };
}

/** A gRPC failure by name. */
export function failing(name: keyof typeof status, details: string): Failure {
  return { code: status[name], details };
}

/** A row of a healthy standby. */
export function rowOf(node: string, more: Partial<NodeRow> = {}): NodeRow {
  return {
    node,
    address: `10.77.0.${node.slice(-1)}`,
    role: 'standby',
    assignedRole: 'standby',
    state: 'alive',
    ollama: 'up',
    ollamaReason: '',
    ollamaAgeMs: 900n,
    epoch: 1795521600251n,
    vip: 'absent',
    fence: 'nft',
    seenMs: 95n,
    modelsComplete: 5,
    modelsTotal: 5,
    bytesBehind: 0n,
    hot: 2,
    hotWanted: 2,
    tags: [],
    vetoes: [],
    rank: 0,
    rttMs: 0.6,
    version: '0.1.0',
    ollamaVersion: '0.13.0',
    backoffMs: 0,
    ollamaKind: 'healthy',
    loaded: [],
    ...more,
  };
}

/** The answer of gpu2 in a healthy cluster of three. */
export function statusReply(more: Partial<StatusReply> = {}): StatusReply {
  return {
    cluster: 'lab',
    asked: 'gpu2',
    viewAgeMs: 12n,
    epoch: 1795521600251n,
    holder: 'gpu1',
    leaseAgeMs: 310n,
    leaseLeftMs: 1690n,
    preset: 'standard',
    ttlMs: 2000,
    renewMs: 400,
    pollMs: 150,
    lockDelayMs: 0,
    lockDelayWhy: 'nft',
    keepalived: { state: 'FAULT', running: true, priority: 3, sinceMs: 4100n, differs: '' },
    loopLateP99Ms: 0.6,
    health: [],
    hotMissing: [],
    vip: '10.77.0.100',
    vipOwner: 'gpu1',
    vipOwnerMac: '52:54:00:aa:01:01',
    vipOwnerAgeMs: 700n,
    mode: 'normal',
    reason: 'gpu1 holds the lease; waiting',
    nodes: [
      rowOf('gpu1', { role: 'active', assignedRole: 'active', vip: 'present', seenMs: 80n }),
      rowOf('gpu2', { seenMs: 0n }),
      rowOf('gpu3'),
    ],
    warnings: [],
    redis: ['gpu1', 'gpu2', 'gpu3'].map((server) => ({
      server,
      runId: 'a'.repeat(40),
      up: true,
      latencyMs: 0.4,
      lastError: '',
      lastReplyAgeMs: 90n,
      latencyP50Ms: 0.3,
      latencyP99Ms: 1.2,
    })),
    splitBrain: false,
    version: '0.1.0',
    pausedBy: '',
    planned: undefined,
    roster: ['gpu1', 'gpu2', 'gpu3'],
    rosterVersion: 4n,
    settingsVersion: 0n,
    wallMs: BigInt(Date.now()),
    ...more,
  };
}

/** A standby with one model on its way and one that waits for its deletion. */
export function replicationReply(more: Partial<ReplicationReply> = {}): ReplicationReply {
  return {
    node: 'gpu2',
    source: 'gpu1',
    paused: false,
    window: '22:00-06:00',
    windowOpen: true,
    bytesPerSecondMax: 50_000_000n,
    blocked: '',
    modelsComplete: 4,
    modelsTotal: 5,
    bytesBehind: 3_000_000_000n,
    transfers: [
      {
        model: 'minicpm-v:8b',
        from: 'gpu1',
        doneBytes: 2_500_000_000n,
        totalBytes: 5_500_000_000n,
        bytesPerSecond: 50_000_000n,
        phase: 'blobs',
        note: '',
        etaMs: 60_000n,
      },
    ],
    deletes: [{ model: 'old:latest', dueInMs: 240_000n }],
    alert: '',
    quarantine: [
      { id: '1795521600250-deleted-abcdefabcdef-1', kind: 'deleted', model: 'qwen3:0.6b', atMs: 1795521600250n, heldBytes: 522_000_000n },
    ],
    scrub: {
      running: false,
      checkedBlobs: 9,
      checkedBytes: 6_000_000_000n,
      totalBlobs: 9,
      corruptBlobs: 0,
      lastDoneAtMs: 1795521600250n,
      nextAtMs: 1796126400250n,
    },
    conflicts: [],
    extra: ['mine:latest'],
    ...more,
  };
}

/** Answers of a healthy cluster. */
export function healthyAnswers(): Answers {
  return {
    status: statusReply(),
    explain: { node: 'gpu2', mayTakeOver: true, vetoes: [], facts: ['rank 0', 'models 5 of 5'] },
    history: {
      entries: [
        {
          epoch: 1795521600250n,
          from: '',
          to: 'gpu2',
          cause: 'first',
          reason: 'the lease was vacant',
          by: '',
          atMs: 1795521600250n,
          phasesMs: { claim: 2.2 },
        },
        {
          epoch: 1795521600251n,
          from: 'gpu2',
          to: 'gpu1',
          cause: 'planned',
          reason: 'switchover to gpu1',
          by: 'ann',
          atMs: 1795525200251n,
          phasesMs: { revoke: 3.4, claim: 1.9 },
        },
      ],
    },
    models: {
      nodes: ['gpu1', 'gpu2', 'gpu3'],
      models: [
        {
          name: 'minicpm-v:8b',
          sizeBytes: 5_500_000_000n,
          cells: [
            { node: 'gpu1', state: 'complete', bytesBehind: 0n, hot: true, manifestDigest: 'a' },
            { node: 'gpu2', state: 'complete', bytesBehind: 0n, hot: false, manifestDigest: 'a' },
            { node: 'gpu3', state: 'partial', bytesBehind: 1_200_000_000n, hot: false, manifestDigest: '' },
          ],
        },
        {
          name: 'qwen3:0.6b',
          sizeBytes: 522_000_000n,
          cells: [{ node: 'gpu1', state: 'complete', bytesBehind: 0n, hot: false, manifestDigest: 'b' }],
        },
      ],
    },
    switchover: { outcome: 'done', text: 'gpu2 is active', vetoes: [], epoch: 1795521600252n, phasesMs: { revoke: 3, claim: 2 } },
    pause: done('paused by ann'),
    maintenance: done('gpu1 is in maintenance by ann'),
    failover: done('gpu2 is active'),
    leave: done('gpu1 has left the cluster'),
    forget: done('gpu4 is forgotten'),
    replication: replicationReply(),
    replicationOrder: done('copying goes on'),
    verify: { id: 3, phase: 'done', models: 2, blobs: 9, blobsDone: 9, bytes: 6_000_000_000n, bytesDone: 6_000_000_000n, bad: [] },
    restore: done('qwen3:0.6b is back, every blob verified'),
    alerts: { asked: 'gpu2', sender: 'gpu1', alerts: [], channels: [] },
    testAlert: { results: [] },
    logLevel: done('the level is debug'),
  };
}
