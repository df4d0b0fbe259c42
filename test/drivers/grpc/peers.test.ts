import { createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPeers } from '../../../src/drivers/grpc/peers.ts';
import { DIGEST, frameFrom, join, linkOf, MANIFEST, MODEL_PATH, messageOf, rowOf, startAgent, type TestAgent } from './agents.ts';
import { createPki, type Pki } from './pki.ts';

let pki: Pki;
const running: TestAgent[] = [];

beforeAll(async () => {
  pki = await createPki();
});
afterAll(() => pki.remove());
afterEach(async () => {
  await Promise.all(running.splice(0).map((agent) => agent.peers.close()));
});

async function start(id: string, options: Parameters<typeof startAgent>[2] = {}): Promise<TestAgent> {
  const agent = await startAgent(pki, id, options);
  running.push(agent);
  return agent;
}

async function stop(agent: TestAgent): Promise<void> {
  running.splice(running.indexOf(agent), 1);
  await agent.peers.close();
}

describe('peers on loopback', () => {
  test('three drivers link pairwise, and frames and messages arrive under the name in the certificate', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')] as const;
    await Promise.all([join(a, b), join(a, c), join(b, c)]);
    const frame = frameFrom('a', 1, { updates: [rowOf('a'), rowOf('c')], maxEpoch: 9, leaving: true });
    a.peers.send('b', { k: 'frame', frame });
    expect(await b.wait(messageOf('a', 'frame'))).toEqual({ k: 'peer', from: 'a', msg: { k: 'frame', frame } });
    for (const msg of [
      { k: 'stepDown', boot: 5, epoch: 6 },
      { k: 'handover', boot: 5, epoch: 6 },
      { k: 'failsafeRequest', boot: 1, epoch: 2, ttlMs: 3, lockDelayMs: 4, round: 5 },
      { k: 'failsafeReply', epoch: 1, round: 2, verdict: 'not_in_roster', nackEpoch: 3 },
      { k: 'switchoverRequest', id: 1, to: '', by: 'someone' },
      { k: 'switchoverReply', id: 1, accepted: false, vetoes: ['young', 'no model'] },
    ] as const) {
      c.peers.send('b', msg);
      expect(await b.wait(messageOf('c', msg.k))).toEqual({ k: 'peer', from: 'c', msg });
    }
    expect(b.facts.filter((f) => f.k === 'link')).toHaveLength(2);
  });

  test('a message on an open stream arrives within a few milliseconds', async () => {
    const [a, b] = [await start('a'), await start('b')] as const;
    await join(a, b);
    const took: number[] = [];
    for (let epoch = 1; epoch <= 40; epoch++) {
      const [from, to] = epoch % 2 === 0 ? [a, b] : [b, a];
      const at = performance.now();
      from.peers.send(to.id, { k: 'stepDown', boot: 1, epoch });
      await to.wait((f) => f.k === 'peer' && f.msg.k === 'stepDown' && f.msg.epoch === epoch);
      took.push(performance.now() - at);
    }
    took.sort((x, y) => x - y);
    expect(took[20]).toBeLessThan(10);
  });

  test('knowing one address on the larger side is enough: it knocks, and the smaller side learns from its table whom to dial', async () => {
    const [a, b] = [await start('a'), await start('b')] as const;
    b.peers.dial('a', a.address);
    const table = await a.wait((f) => f.k === 'table' && f.from === 'b');
    expect(table).toMatchObject({ members: [{ node: 'b' }] });
    a.peers.dial('b', b.address);
    await Promise.all([a.wait(linkOf('b', true)), b.wait(linkOf('a', true))]);
  });

  test('tables, probes, inventories and manifests are asked for and answered', async () => {
    const [a, b] = [await start('a'), await start('b')] as const;
    await join(a, b);
    b.answers.members = [rowOf('b'), rowOf('z')];
    a.peers.pushPull('b', [rowOf('a'), rowOf('y')]);
    expect(await a.wait((f) => f.k === 'table' && f.members.length === 2)).toMatchObject({
      from: 'b',
      members: [{ node: 'b' }, { node: 'z' }],
    });
    expect(await b.wait((f) => f.k === 'table' && f.members.length === 2)).toMatchObject({
      from: 'a',
      members: [{ node: 'a' }, { node: 'y' }],
    });
    b.answers.probe = (target) => target === 'good';
    a.peers.indirectProbe('b', 'good');
    a.peers.indirectProbe('b', 'bad');
    a.peers.indirectProbe('nobody', 'good');
    expect(await a.wait((f) => f.k === 'probed' && f.target === 'good' && f.via === 'b')).toMatchObject({ ack: true });
    expect(await a.wait((f) => f.k === 'probed' && f.target === 'bad')).toMatchObject({ ack: false });
    expect(await a.wait((f) => f.k === 'probed' && f.via === 'nobody')).toMatchObject({ ack: null });
    a.peers.fetchInventory('b', 0);
    const inventory = await a.wait((f) => f.k === 'peerInventory');
    expect(inventory).toEqual({ k: 'peerInventory', from: 'b', boot: 1_000, epoch: 3, inventory: b.answers.inventory });
    const signal = AbortSignal.timeout(2_000);
    expect(Buffer.from(await a.peers.fetchManifest('b', MODEL_PATH, DIGEST, signal))).toEqual(MANIFEST);
    await expect(a.peers.fetchManifest('b', MODEL_PATH, 'ef'.repeat(32), signal)).rejects.toThrow('no such manifest');
    await expect(a.peers.fetchManifest('b', '../../etc/passwd/x', DIGEST, signal)).rejects.toThrow('host/namespace');
    await expect(a.peers.fetchManifest('z', MODEL_PATH, DIGEST, signal)).rejects.toThrow('not connected');
  });

  test('a direct probe succeeds with a live peer and fails with a closed port', async () => {
    const [a, b] = [await start('a'), await start('b')] as const;
    await join(a, b);
    a.peers.directProbe('b');
    expect(await a.wait((f) => f.k === 'dialled')).toEqual({ k: 'dialled', target: 'b', ok: true });
    await stop(b);
    const since = a.facts.length;
    a.peers.directProbe('b');
    expect(await a.wait((f) => f.k === 'dialled', since)).toEqual({ k: 'dialled', target: 'b', ok: false });
  });

  test('an orderly end is no hard evidence', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')] as const;
    await Promise.all([join(a, b), join(b, c)]);
    await stop(b);
    expect(await a.wait(linkOf('b', false))).toMatchObject({ hard: false });
    expect(await c.wait(linkOf('b', false))).toMatchObject({ hard: false });
  });

  test('a peer back after an outage is linked again within 1.5 s, on whichever side it is', async () => {
    const m = await start('m');
    for (const id of ['b', 'x']) {
      const first = await start(id);
      await join(m, first);
      const port = first.peers.port;
      await stop(first);
      await m.wait(linkOf(id, false));
      // Long enough for the longest pause between attempts to be reached.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      const since = m.facts.length;
      const again = await start(id, { port });
      again.peers.dial('m', m.address);
      const at = performance.now();
      await Promise.all([m.wait(linkOf(id, true), since), again.wait(linkOf('m', true))]);
      expect(performance.now() - at).toBeLessThan(1_500);
    }
  });

  test('a server that accepts and stays silent does not block the way to the real one, and costs no sockets', async () => {
    const silent: Socket[] = [];
    let accepted = 0;
    const server = createServer((socket) => {
      accepted++;
      silent.push(socket);
      // Reads, so that it notices when the other side gives up; says nothing.
      socket.resume();
      socket.on('error', () => {});
      socket.on('close', () => silent.splice(silent.indexOf(socket), 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const place = server.address();
    if (place === null || typeof place === 'string') throw new Error('no port');
    const a = await start('a');
    a.peers.dial('b', `127.0.0.1:${place.port}`);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(accepted).toBeGreaterThanOrEqual(2);
    expect(silent.length).toBeLessThanOrEqual(1);
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of [...silent]) socket.destroy();
    });
    const b = await start('b', { port: place.port });
    const at = performance.now();
    b.peers.dial('a', a.address);
    await a.wait(linkOf('b', true));
    expect(performance.now() - at).toBeLessThan(1_500);
  });

  test('fifty failed connects leave no sockets behind', async () => {
    const a = await start('a');
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const place = closed.address();
    if (place === null || typeof place === 'string') throw new Error('no port');
    await new Promise<void>((resolve) => closed.close(() => resolve()));
    a.peers.dial('b', `127.0.0.1:${place.port}`);
    await a.peers.probe('b', AbortSignal.timeout(1_000));
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TLSWrap').length;
    const before = sockets();
    for (let i = 0; i < 50; i++) expect(await a.peers.probe('b', AbortSignal.timeout(1_000))).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(sockets()).toBeLessThanOrEqual(before + 1);
  });

  test('messages sent a moment before the stream opens are delivered, heartbeats are not', async () => {
    const [a, b] = [await start('a'), await start('b')] as const;
    a.peers.send('b', { k: 'frame', frame: frameFrom('a', 1) });
    a.peers.send('b', { k: 'stepDown', boot: 1, epoch: 7 });
    await join(a, b);
    expect(await b.wait((f) => f.k === 'peer')).toMatchObject({ msg: { k: 'stepDown', epoch: 7 } });
  });

  test('a port in use and a foreign certificate are errors for the operator', async () => {
    const a = await start('a');
    await expect(startAgent(pki, 'b', { port: a.peers.port })).rejects.toThrow(/^port-in-use: port \d+ on 127.0.0.1 is in use$/);
    await expect(startAgent(pki, 'b', { certificate: 'c.lab.ollama-ha' })).rejects.toThrow(
      /^pki-name: .*must name b.lab.ollama-ha, but names DNS:c.lab/,
    );
    const none = await createPeers({
      self: { node: 'b', boot: 1 },
      cluster: 'lab',
      tls: { ca: '/nonexistent/ca.crt', cert: '/nonexistent/a', key: '/nonexistent/b' },
      listen: { host: '127.0.0.1', port: 0 },
      answers: {
        members: () => [],
        inventory: () => ({ inventory: { version: 0, models: [], refused: null }, epoch: 0, boot: 1 }),
        manifest: async () => null,
        probe: async () => false,
      },
      control: null,
      socketPath: null,
      sink: () => {},
      log: () => {},
    });
    expect(none).toMatchObject({ error: { code: 'pki-file', message: 'pki.ca: cannot read /nonexistent/ca.crt (ENOENT)' } });
  });
});
