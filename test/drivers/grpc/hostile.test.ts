import { readFile } from 'node:fs/promises';
import { type Client, credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Frame } from '../../../src/core/membership/types.ts';
import { messageOut } from '../../../src/drivers/grpc/convert.ts';
import { raw } from '../../../src/drivers/grpc/link.ts';
import { PeerClient } from '../../../src/gen/peer.ts';
import { frameFrom, linkOf, messageOf, startAgent, type TestAgent } from './agents.ts';
import { createPki, type Pki } from './pki.ts';

let pki: Pki;
const running: TestAgent[] = [];
const closers: (() => void)[] = [];

beforeAll(async () => {
  pki = await createPki();
});
afterAll(() => pki.remove());
afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await Promise.all(running.splice(0).map((agent) => agent.peers.close()));
});

async function start(id: string, options: Parameters<typeof startAgent>[2] = {}): Promise<TestAgent> {
  const agent = await startAgent(pki, id, options);
  running.push(agent);
  return agent;
}

/** A client with any certificate, beside the driver. */
async function rawClient(certificate: string, to: TestAgent): Promise<PeerClient> {
  const files = await pki.issue(certificate);
  const [ca, key, cert] = await Promise.all([readFile(files.ca), readFile(files.key), readFile(files.cert)]);
  const name = `${to.id}.lab.ollama-ha`;
  const client = new PeerClient(to.address, credentials.createSsl(ca, key, cert), {
    'grpc.ssl_target_name_override': name,
    'grpc.default_authority': name,
    'grpc.use_local_subchannel_pool': 1,
  });
  closers.push(() => client.close());
  return client;
}

function streamOf(client: Client) {
  const call = client.makeBidiStreamRequest('/ollama_ha.v1.Peer/Stream', raw, raw, new Metadata(), {});
  const over = new Promise<{ code: number }>((resolve) => call.on('error', (error) => resolve(error as unknown as { code: number })));
  const open = new Promise<void>((resolve) => call.on('metadata', () => resolve()));
  return { call, over, open };
}

describe('a peer that is not what it should be', () => {
  test('a server under another name is not taken for the peer', async () => {
    const [a, c] = [await start('a'), await start('c')] as const;
    a.peers.dial('b', c.address);
    a.peers.directProbe('b');
    expect(await a.wait((f) => f.k === 'dialled')).toMatchObject({ ok: false });
    expect(c.facts).toEqual([]);
    expect(a.facts.filter((f) => f.k === 'link')).toEqual([]);
  });

  test('a client of another cluster, an operator, a larger name and our own name get no stream', async () => {
    const m = await start('m');
    for (const [name, code] of [
      ['a.other.ollama-ha', 7],
      ['alice.operator.lab.ollama-ha', 7],
      ['x.lab.ollama-ha', 9],
      ['m.lab.ollama-ha', 6],
    ] as const) {
      const { over } = streamOf(await rawClient(name, m));
      expect((await over).code).toBe(code);
    }
    expect(m.facts).toEqual([]);
  });

  test('a client without a certificate gets nothing', async () => {
    const m = await start('m');
    const { ca } = await pki.issue('unused.lab.ollama-ha');
    const client = new PeerClient(m.address, credentials.createSsl(await readFile(ca)), {
      'grpc.ssl_target_name_override': 'm.lab.ollama-ha',
    });
    closers.push(() => client.close());
    const error = await new Promise<{ code?: number } | null>((resolve) => {
      client.inventory({ version: 0n }, new Metadata(), { deadline: Date.now() + 500 }, (cause) => resolve(cause));
    });
    expect(error?.code).toBeGreaterThan(0);
    expect(m.facts).toEqual([]);
  });

  test('an oversized or malformed message is refused and the stream goes on', async () => {
    const m = await start('m');
    const { call, open } = streamOf(await rawClient('a.lab.ollama-ha', m));
    await open;
    call.write(Buffer.alloc(9_000, 10));
    call.write(Buffer.from('not protobuf at all'));
    call.write(messageOut({ k: 'stepDown', boot: 1, epoch: 2 }));
    expect(await m.wait((f) => f.k === 'peer')).toMatchObject({ from: 'a', msg: { k: 'stepDown', epoch: 2 } });
    expect(m.facts.filter((f) => f.k === 'peer')).toHaveLength(1);
    expect(m.logs.filter((line) => line.includes('peer-message-refused'))).toHaveLength(1);
    call.end();
    await m.wait(linkOf('a', false));
  });

  test('of a heartbeat of a later protocol nothing is read but that protocol, and the stream goes on', async () => {
    const m = await start('m');
    const { call } = streamOf(await rawClient('a.lab.ollama-ha', m));
    const next = frameFrom('a', 1, { v: 9, vMin: 8, role: 'regent' as Frame['role'] });
    call.write(messageOut({ k: 'frame', frame: next }));
    expect(await m.wait((f) => f.k === 'foreign')).toEqual({ k: 'foreign', from: 'a', protocol: { v: 9, vMin: 8 } });
    call.write(messageOut({ k: 'frame', frame: frameFrom('a', 2) }));
    await m.wait(messageOf('a', 'frame'));
    expect(m.facts.filter((f) => f.k === 'peer')).toHaveLength(1);
  });

  test('a flood of frames is cut at the rate, other messages still come through', async () => {
    const m = await start('m');
    const { call, open } = streamOf(await rawClient('a.lab.ollama-ha', m));
    await open;
    for (let seq = 1; seq <= 500; seq++) call.write(messageOut({ k: 'frame', frame: frameFrom('a', seq) }));
    call.write(messageOut({ k: 'stepDown', boot: 1, epoch: 2 }));
    await m.wait(messageOf('a', 'stepDown'));
    const frames = m.facts.filter((f) => f.k === 'peer' && f.msg.k === 'frame').length;
    expect(frames).toBeGreaterThanOrEqual(50);
    expect(frames).toBeLessThan(120);
    call.end();
  });

  test('heartbeats to a peer that reads nothing are dropped, not queued', async () => {
    const m = await start('m');
    const { call, open } = streamOf(await rawClient('a.lab.ollama-ha', m));
    await open;
    await m.wait(linkOf('a', true));
    call.pause();
    const before = process.memoryUsage().heapUsed;
    for (let seq = 1; seq <= 20_000; seq++) m.peers.send('a', { k: 'frame', frame: frameFrom('m', seq, { updates: [] }) });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60_000_000);
    let received = 0;
    call.on('data', () => received++);
    call.resume();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(received).toBeLessThan(1_000);
    call.cancel();
  });
});
