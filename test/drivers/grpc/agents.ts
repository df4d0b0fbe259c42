// Real drivers on loopback, each with an inbox whose facts can be awaited.
import type { ControlHandlers } from '../../../src/agent/control.ts';
import type { PeerAnswers } from '../../../src/agent/ports.ts';
import type { Input } from '../../../src/core/io.ts';
import type { Frame, MemberUpdate } from '../../../src/core/membership/types.ts';
import type { Inventory } from '../../../src/core/replication/types.ts';
import { createPeers, type GrpcPeers, type PeersOptions } from '../../../src/drivers/grpc/peers.ts';
import { frameOf } from '../../core/membership/frame.ts';
import type { Pki } from './pki.ts';

/** A driver under test. */
export type TestAgent = {
  readonly id: string;
  readonly peers: GrpcPeers;
  readonly facts: Input[];
  readonly logs: string[];
  readonly address: string;
  /** The first fact, past or future, that passes; facts before `since` (an index) are not looked at. */
  wait(what: (input: Input) => boolean, since?: number): Promise<Input>;
  readonly answers: { members: MemberUpdate[]; inventory: Inventory; probe: (target: string) => boolean };
};

/** As large as that of a model of several thousand tensors. */
export const MANIFEST = Buffer.alloc(1_500_000, '{"schemaVersion":2} ');
export const DIGEST = 'ab'.repeat(32);
export const MODEL_PATH = 'registry.ollama.ai/library/tiny/latest';

/** A row of a member table. */
export function rowOf(node: string): MemberUpdate {
  return { node, boot: 1_000, inc: 1_000, state: 'alive', by: node, ageMs: 0, address: '127.0.0.1:1' };
}

/** A complete heartbeat. */
export function frameFrom(node: string, seq: number, fields: Partial<Frame> = {}): Frame {
  const beat = { k: 'heartbeat', to: 'x', seq, echoSeq: 0, echoDelayMs: 0, updates: [rowOf(node)], digest: 12345, inc: 1_000 } as const;
  return { ...frameOf('lab', node, 1_000, beat, false), ...fields };
}

/** Starts a driver; a failed start throws. */
export async function startAgent(
  pki: Pki,
  id: string,
  options: { port?: number; certificate?: string; control?: ControlHandlers; socketPath?: string; serving?: () => boolean } = {},
): Promise<TestAgent> {
  const facts: Input[] = [];
  const logs: string[] = [];
  const watchers = new Set<() => void>();
  const inventory: Inventory = {
    version: 7,
    refused: null,
    models: [
      {
        path: MODEL_PATH,
        manifestDigest: DIGEST,
        manifestBytes: MANIFEST.length,
        sizeBytes: 5_000_000_000,
        complete: true,
        missingBytes: 0,
        weights: 'cd'.repeat(32),
      },
    ],
  };
  const state = { members: [rowOf(id)], inventory, probe: (_target: string): boolean => true };
  const answers: PeerAnswers = {
    members: () => state.members,
    inventory: () => ({ inventory: state.inventory, epoch: 3, boot: 1_000 }),
    manifest: async (path, digest) => (path === MODEL_PATH && digest === DIGEST ? MANIFEST : null),
    probe: async (target) => state.probe(target),
  };
  const made: PeersOptions = {
    self: { node: id, boot: 1_000 },
    cluster: 'lab',
    tls: await pki.issue(options.certificate ?? `${id}.lab.ollama-ha`),
    listen: { host: '127.0.0.1', port: options.port ?? 0 },
    answers,
    control: options.control ?? null,
    socketPath: options.socketPath ?? null,
    ...(options.serving === undefined ? {} : { serving: options.serving }),
    sink: (input) => {
      facts.push(input);
      for (const look of [...watchers]) look();
    },
    log: (level, event, text) => logs.push(`${level} ${event}: ${text}`),
  };
  const peers = await createPeers(made);
  if ('error' in peers) throw new Error(`${peers.error.code}: ${peers.error.message}`);
  return {
    id,
    peers,
    facts,
    logs,
    answers: state,
    address: `127.0.0.1:${peers.port}`,
    wait(what, since = 0) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          watchers.delete(look);
          reject(new Error(`${id} waited in vain; its facts: ${JSON.stringify(facts).slice(0, 2_000)}`));
        }, 8_000);
        const look = () => {
          const found = facts.slice(since).find(what);
          if (found === undefined) return;
          watchers.delete(look);
          clearTimeout(timer);
          resolve(found);
        };
        watchers.add(look);
        look();
      });
    },
  };
}

/** Passes for the opening or closing of the stream with a peer. */
export const linkOf = (peer: string, up: boolean) => (input: Input) => input.k === 'link' && input.peer === peer && input.up === up;

/** Passes for a message of a peer. */
export const messageOf = (from: string, k: string) => (input: Input) => input.k === 'peer' && input.from === from && input.msg.k === k;

/** Makes two agents know each other, and waits for their stream. */
export async function join(a: TestAgent, b: TestAgent): Promise<void> {
  a.peers.dial(b.id, b.address);
  b.peers.dial(a.id, a.address);
  await Promise.all([a.wait(linkOf(b.id, true)), b.wait(linkOf(a.id, true))]);
}
