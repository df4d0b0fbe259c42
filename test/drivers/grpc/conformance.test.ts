// The real program, driven by a client that knows nothing of it but the files in proto/, or not even those.
import { join } from 'node:path';
import {
  type ChannelCredentials,
  type Client,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ScaleCluster, startAgents } from '../../bench/scale/agents.ts';

const proto = (name: string) => join(import.meta.dirname, '../../../proto', name);
const loaded = { longs: Number, defaults: true, enums: String, oneofs: true } as const;
const known = loadPackageDefinition(loadSync(['control.proto', 'peer.proto', 'health.proto', 'reflection.proto'].map(proto), loaded));

type Unary = (request: object, done: (error: ServiceError | null, reply: Record<string, unknown>) => void) => void;
type Stream = NodeJS.ReadWriteStream & { write(message: object): void; cancel(): void };
type Dynamic = Client & Record<string, Unary> & Record<string, (request?: object) => Stream>;

let cluster: ScaleCluster;
let socket: string;
const clients: Client[] = [];

beforeAll(async () => {
  cluster = await startAgents({ count: 1, candidates: 0, config: { grpc: { reflection: true } } });
  socket = `unix:${join(cluster.agents[0]?.dir ?? '', 'run/agent.sock')}`;
}, 30_000);
afterAll(async () => {
  for (const client of clients) client.close();
  await cluster.end();
});

function clientOf(name: string, to: string, how: ChannelCredentials, from: GrpcObject = known): Dynamic {
  const Service = name.split('.').reduce<unknown>((at, part) => (at as GrpcObject)[part], from) as new (
    to: string,
    how: ChannelCredentials,
    options: object,
  ) => Dynamic;
  const host = 'n000.scale.ollama-ha';
  const tls = to.startsWith('unix:') ? {} : { 'grpc.ssl_target_name_override': host, 'grpc.default_authority': host };
  const client = new Service(to, how, tls);
  clients.push(client);
  return client;
}

const overSocket = (name: string, from?: GrpcObject) => clientOf(name, socket, credentials.createInsecure(), from);

async function overTls(name: string, as: string): Promise<Dynamic> {
  const { ca, cert, key } = await cluster.issue([as]);
  return clientOf(name, `${cluster.agents[0]?.address}:11440`, credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert)));
}

function ask(client: Dynamic, method: string, request: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    (client[method] as Unary).call(client, request, (error, reply) => (error === null ? resolve(reply) : reject(error)));
  });
}

/** The first message of a stream that passes, after `sent` were written. */
function firstOf(
  client: Dynamic,
  method: string,
  sent: readonly object[],
  passes: (message: { body?: string }) => boolean = () => true,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = (client[method] as () => Stream).call(client);
    call.on('data', (message: { body?: string }) => {
      if (!passes(message)) return;
      resolve(message);
      call.cancel();
    });
    call.on('error', reject);
    for (const message of sent) call.write(message);
  });
}

describe('a client that knows only proto/', () => {
  test('finds the agent healthy on the socket and on the peer port, service by service', async () => {
    for (const health of [overSocket('grpc.health.v1.Health'), await overTls('grpc.health.v1.Health', 'root.operator.scale.ollama-ha')]) {
      for (const service of ['', 'ollama_ha.v1.Peer', 'ollama_ha.v1.Control'])
        expect(await ask(health, 'Check', { service })).toEqual({ status: 'SERVING' });
      await expect(ask(health, 'Check', { service: 'no.such.Service' })).rejects.toMatchObject({ code: 5 });
    }
  });

  test('reads the status, and explains the node it was asked of', async () => {
    const control = overSocket('ollama_ha.v1.Control');
    expect(await ask(control, 'Status', {})).toMatchObject({ cluster: 'scale', asked: 'n000', nodes: [{ node: 'n000', state: 'self' }] });
    expect(await ask(control, 'Explain', { node: 'n000' })).toMatchObject({ node: 'n000', mayTakeOver: false });
    await expect(ask(control, 'Explain', { node: 'nobody' })).rejects.toMatchObject({ code: 5 });
  });

  test('speaks as a node: exchanges tables, asks for a probe and an inventory, and hears heartbeats on its stream', async () => {
    const peer = await overTls('ollama_ha.v1.Peer', 'aaa.scale.ollama-ha');
    const table = await ask(peer, 'PushPull', { cluster: 'scale', node: 'aaa', boot: 1, members: [] });
    expect(table).toMatchObject({ cluster: 'scale', node: 'n000', members: [{ node: 'n000', state: 'alive' }] });
    expect(await ask(peer, 'IndirectProbe', { target: 'nobody' })).toEqual({ ack: false });
    expect(await ask(peer, 'Inventory', { version: 0 })).toMatchObject({ models: [] });
    const beat = await firstOf(peer, 'Stream', [], (m) => m.body === 'frame');
    expect(beat).toMatchObject({ frame: { cluster: 'scale', node: 'n000', v: 1, vMin: 1, role: 'witness', leaving: false } });
  });
});

describe('a client that knows nothing', () => {
  test.each(['v1', 'v1alpha'])('learns services and messages by reflection %s, and calls what it learned', async (version) => {
    const reflection = overSocket('grpc.reflection.v1.ServerReflection');
    const asked = version === 'v1' ? reflection : older(reflection);
    const services = (await firstOf(asked, 'ServerReflectionInfo', [{ listServices: '' }])) as {
      listServicesResponse: { service: { name: string }[] };
    };
    expect(services.listServicesResponse.service.map((s) => s.name)).toEqual(
      expect.arrayContaining(['ollama_ha.v1.Peer', 'ollama_ha.v1.Control', 'grpc.health.v1.Health']),
    );
    const answer = (await firstOf(asked, 'ServerReflectionInfo', [{ fileContainingSymbol: 'ollama_ha.v1.Control' }])) as {
      fileDescriptorResponse: { fileDescriptorProto: Buffer[] };
    };
    const learned = loadPackageDefinition(
      loadFileDescriptorSetFromBuffer(setOf(answer.fileDescriptorResponse.fileDescriptorProto), loaded),
    );
    expect(await ask(overSocket('ollama_ha.v1.Control', learned), 'Status', {})).toMatchObject({ cluster: 'scale' });
  });

  test('is told what there is not', async () => {
    const reflection = overSocket('grpc.reflection.v1.ServerReflection');
    const answer = await firstOf(reflection, 'ServerReflectionInfo', [{ fileContainingSymbol: 'no.such.Thing' }]);
    expect(answer).toMatchObject({ errorResponse: { errorCode: 5 } });
  });
});

/** The same client, asking under the older name. */
function older(client: Dynamic): Dynamic {
  const { ServerReflectionInfo: method } = (client.constructor as unknown as { service: Record<string, { path: string }> }).service;
  if (method === undefined) throw new Error('no method');
  const path = method.path.replace('.v1.', '.v1alpha.');
  const raw = method as unknown as { requestSerialize: (m: object) => Buffer; responseDeserialize: (b: Buffer) => object };
  const call = () => client.makeBidiStreamRequest(path, raw.requestSerialize, raw.responseDeserialize);
  return { ServerReflectionInfo: call } as unknown as Dynamic;
}

/** A FileDescriptorSet: field 1, length-delimited, once for each file. */
function setOf(files: readonly Buffer[]): Buffer {
  return Buffer.concat(files.flatMap((file) => [Buffer.from([0x0a]), varint(file.length), file]));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    bytes.push(rest < 128 ? rest : (rest & 127) | 128);
    if (rest < 128) return Buffer.from(bytes);
  }
}
