// Certificates that are replaced while agents talk, and peers whose certificates do not fit.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { issueCertificate, makeCa, type Pair } from '../../../src/cli/certificates.ts';
import type { GrpcPeers } from '../../../src/drivers/grpc/peers.ts';
import { createPeers } from '../../../src/drivers/grpc/peers.ts';

let directory: string;
let open: GrpcPeers[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'renewal-'));
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((peers) => peers.close()));
  rmSync(directory, { recursive: true, force: true });
});

const filesOf = (node: string) => ({
  ca: join(directory, `${node}-ca`),
  cert: join(directory, `${node}-cert`),
  key: join(directory, `${node}-key`),
});

async function issue(node: string, ca: Pair, trusted: readonly Pair[]): Promise<void> {
  const { ca: caFile, cert, key } = filesOf(node);
  const made = await issueCertificate({ ca, who: { k: 'node', id: node } });
  writeFileSync(caFile, trusted.map((one) => one.cert).join(''));
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.key);
}

/** A driver whose log and links can be awaited. */
async function start(node: string) {
  const events: string[] = [];
  let wake = () => {};
  const tell = (text: string) => {
    events.push(text);
    wake();
  };
  const peers = await createPeers({
    self: { node, boot: 1 },
    cluster: 'lab',
    tls: filesOf(node),
    listen: { host: '127.0.0.1', port: 0 },
    answers: {
      members: () => [],
      inventory: () => ({ inventory: { version: 0, models: [], refused: null }, epoch: 0, boot: 1 }),
      manifest: async () => null,
      probe: async () => false,
    },
    control: null,
    socketPath: null,
    sink: (input) => input.k === 'link' && tell(`link ${input.peer} ${input.up}`),
    log: (_level, event, text) => tell(`${event}: ${text}`),
  });
  if ('error' in peers) throw new Error(`${peers.error.code}: ${peers.error.message}`);
  open.push(peers);
  const wait = async (part: string) => {
    while (!events.some((event) => event.includes(part))) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { peers, events, wait, dial: (other: string, port: number) => peers.dial(other, `127.0.0.1:${port}`) };
}

test('after a reload new connections use the new CA, in both directions, and open ones go on', async () => {
  const [old, next] = [await makeCa('lab'), await makeCa('lab')];
  for (const node of ['a', 'b', 'c']) await issue(node, old, [old, next]);
  const a = await start('a');
  const b = await start('b');
  a.dial('b', b.peers.port);
  await a.wait('link b true');
  for (const [node, agent] of [
    ['a', a],
    ['b', b],
  ] as const) {
    await issue(node, next, [next]);
    expect(await agent.peers.reload()).toBeNull();
  }
  // c has nothing but the new CA.
  await issue('c', next, [next]);
  const c = await start('c');
  a.dial('c', c.peers.port);
  await a.wait('link c true');
  b.dial('c', c.peers.port);
  await b.wait('link c true');
  expect(a.events.filter((event) => event.startsWith('link b'))).toEqual(['link b true']);
});

test('files that do not fit together are refused with their name, and the old ones stay in use', async () => {
  const [old, next] = [await makeCa('lab'), await makeCa('lab')];
  await issue('a', old, [old]);
  await issue('b', old, [old]);
  const a = await start('a');
  await issue('other', next, [next]);
  copyFileSync(filesOf('other').ca, filesOf('a').ca);
  expect(await a.peers.reload()).toMatchObject({ code: 'pki-ca', message: expect.stringContaining('signed by none of the CAs') });
  await issue('a', next, [old, next]);
  writeFileSync(filesOf('a').key, readFileSync(filesOf('other').key));
  expect(await a.peers.reload()).toMatchObject({ code: 'pki-key', message: expect.stringContaining('is not the key of') });
  const b = await start('b');
  a.dial('b', b.peers.port);
  await a.wait('link b true');
});

test('a peer of another CA is not talked to, and the log says why', async () => {
  const [ours, theirs] = [await makeCa('lab'), await makeCa('lab')];
  await issue('a', ours, [ours]);
  await issue('b', theirs, [theirs]);
  const a = await start('a');
  const b = await start('b');
  a.dial('b', b.peers.port);
  await a.wait('peer-certificate: no connection to b: its certificate is of a CA that is not in pki.ca');
});
