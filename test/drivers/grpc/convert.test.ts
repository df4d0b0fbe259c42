import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { understands } from '../../../src/core/membership/protocol.ts';
import {
  ENVELOPE_MAX_BYTES,
  inventoryIn,
  inventoryOut,
  manifestAskIn,
  messageIn,
  messageOut,
  probeIn,
  tableIn,
  tableOut,
} from '../../../src/drivers/grpc/convert.ts';
import { splitAddress } from '../../../src/drivers/grpc/fields.ts';
import { nameOf } from '../../../src/drivers/grpc/tls.ts';
import * as wire from '../../../src/gen/peer.ts';
import { DIGEST, frameFrom, MODEL_PATH, rowOf } from './agents.ts';

const big = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const small = fc.integer({ min: 0, max: 0xffff_ffff });
const any = fc.oneof(
  fc.string({ maxLength: 400 }),
  fc.constantFrom('a', 'b', 'lab', 'alive', 'standby', 'redis', 'up', 'nft', 'present', ''),
);

const update = fc.record({ node: any, boot: big, inc: big, state: any, by: any, ageMs: small, address: any });
const lease = fc.record({
  epoch: big,
  holder: any,
  holderBoot: big,
  lastAckAgeMs: small,
  ttlMs: small,
  mode: any,
  lockDelayMs: small,
  leftMs: small,
  cause: any,
  from: any,
  by: any,
  phasesMs: fc.dictionary(fc.constantFrom('claimMs', 'vipMs', '\u001b'), fc.double(), { maxKeys: 3 }),
});
const view = fc.record({
  candidate: fc.boolean(),
  nofailover: fc.boolean(),
  draining: fc.boolean(),
  priority: fc.integer(),
  ollama: any,
  ollamaReason: any,
  ollamaVersion: any,
  ollamaAgeMs: small,
  modelsComplete: small,
  modelsTotal: small,
  bytesBehind: big,
  hot: small,
  hotWanted: small,
  loaded: fc.array(fc.record({ name: any, weights: any, contextLength: small, sizeBytes: big, forever: fc.boolean() }), { maxLength: 20 }),
  ollamaKind: any,
  unfit: fc.boolean(),
  loopLagMs: small,
  lhm: small,
  fence: any,
  vip: any,
  youngMs: small,
  vetoes: fc.array(any, { maxLength: 40 }),
  version: any,
  load: small,
  mac: any,
  backoffMs: small,
  wireMacs: fc.array(any, { maxLength: 4 }),
  wireAgeMs: small,
  deletionAlert: fc.boolean(),
});
const frame: fc.Arbitrary<wire.Frame> = fc.record({
  v: small,
  vMin: small,
  cluster: any,
  node: any,
  boot: big,
  inc: big,
  seq: big,
  echoSeq: big,
  echoDelayMs: small,
  role: any,
  lease: fc.option(lease, { nil: undefined }),
  view: fc.option(view, { nil: undefined }),
  updates: fc.array(update, { maxLength: 10 }),
  digest: big,
  maxEpoch: big,
  rosterVersion: big,
  leaving: fc.boolean(),
  inventoryVersion: big,
  serversReached: small,
  settingsVersion: big,
  settingsHash: big,
});
const settings: fc.Arbitrary<wire.Settings> = fc.record({
  version: fc.oneof(big, small.map(BigInt)),
  paused: fc.boolean(),
  pausedBy: any,
  maintenance: fc.array(fc.record({ node: any, by: any, drainUntilMs: small.map(BigInt) }), { maxLength: 4 }),
  schedule: fc.option(fc.record({ id: small.map(BigInt), to: any, atMs: small.map(BigInt), by: any }), { nil: undefined }),
});
const body: fc.Arbitrary<wire.Envelope['body']> = fc.oneof(
  fc.constant(undefined),
  frame.map((value) => ({ $case: 'frame' as const, value })),
  fc.record({ boot: big, epoch: big }).map((value) => ({ $case: 'stepDown' as const, value })),
  fc.record({ epoch: big, round: big, verdict: any, nackEpoch: big }).map((value) => ({ $case: 'failsafeReply' as const, value })),
  fc.record({ id: big, to: any, by: any }).map((value) => ({ $case: 'switchoverRequest' as const, value })),
  fc
    .record({ id: big, accepted: fc.boolean(), vetoes: fc.array(any, { maxLength: 40 }) })
    .map((value) => ({ $case: 'switchoverReply' as const, value })),
  fc
    .record({ boot: small.map(BigInt), epoch: small.map(BigInt), cause: any, by: any, revokeMs: small, releaseMs: small })
    .map((value) => ({ $case: 'handover' as const, value })),
  settings.map((value) => ({ $case: 'settings' as const, value })),
  fc.record({ id: big, by: any }).map((value) => ({ $case: 'forceClaim' as const, value })),
  fc.record({ id: big, node: any, by: any, leaving: fc.boolean(), boot: big }).map((value) => ({ $case: 'rosterRequest' as const, value })),
  fc.record({ node: any }).map((value) => ({ $case: 'forgotten' as const, value })),
  fc.record({ epoch: big, by: any }).map((value) => ({ $case: 'acceptDeletes' as const, value })),
);

describe('conversion at the edge', () => {
  test('never throws on any decoded message, and takes only what it can send back unchanged', () => {
    let taken = 0;
    fc.assert(
      fc.property(body, (value) => {
        const parsed = messageIn(wire.Envelope.encode({ body: value }).finish());
        if (!parsed.ok) {
          expect(parsed.reason).not.toBe('');
          return;
        }
        if (parsed.value.k === 'foreign') {
          expect(understands(parsed.value.protocol)).toBe(false);
          return;
        }
        taken++;
        expect(messageIn(messageOut(parsed.value))).toEqual(parsed);
      }),
      { numRuns: 2_000 },
    );
    expect(taken).toBeGreaterThan(30);
  });

  test('never throws on any bytes, nor on a good message with bytes turned', () => {
    const good = messageOut({ k: 'frame', frame: frameFrom('a', 1) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void messageIn(bytes)),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), (turns) => {
        const bytes = Uint8Array.from(good);
        for (const [at, to] of turns) bytes[at] = to;
        messageIn(bytes);
      }),
      { numRuns: 3_000 },
    );
  });

  test('never throws on tables, probes, inventories and manifest requests', () => {
    fc.assert(
      fc.property(fc.array(update, { maxLength: 5 }), any, big, (members, name, number) => {
        tableIn({ cluster: name, node: 'a', boot: number, members }, 'lab', 'a');
        probeIn({ target: name });
        manifestAskIn({ path: name, manifestDigest: name });
        const model = {
          path: name,
          manifestDigest: name,
          manifestBytes: number,
          sizeBytes: number,
          complete: true,
          weightsDigest: name,
          missingBytes: number,
        };
        inventoryIn({
          boot: number,
          epoch: number,
          version: number,
          models: [model],
          refused: name,
          loose: [{ digest: name, sizeBytes: number }],
        });
      }),
    );
  });

  test('refuses a message over 8 KiB, a count over 2^53, an unknown word, an unnamed node and a frame without view', () => {
    const good = { k: 'frame', frame: frameFrom('a', 1) } as const;
    const envelope = wire.Envelope.decode(messageOut(good));
    if (envelope.body?.$case !== 'frame') throw new Error('no frame');
    const base = envelope.body.value;
    const reasonOf = (value: wire.Frame) => {
      const parsed = messageIn(wire.Envelope.encode({ body: { $case: 'frame', value } }).finish());
      return parsed.ok ? 'taken' : parsed.reason;
    };
    expect(reasonOf(base)).toBe('taken');
    expect(messageIn(Buffer.alloc(ENVELOPE_MAX_BYTES + 1))).toMatchObject({ ok: false, reason: expect.stringContaining('8192') });
    expect(reasonOf({ ...base, inc: 2n ** 53n })).toBe('inc is not a safe integer');
    expect(reasonOf({ ...base, role: 'king' })).toBe('role is none of active, standby, witness');
    expect(reasonOf({ ...base, node: 'A_b' })).toBe('node is not a node id');
    expect(reasonOf({ ...base, view: undefined })).toBe('view is missing');
    const tiny = { node: 'b', boot: 1n, inc: 1n, state: 'alive', by: 'b', ageMs: 0, address: '' };
    expect(reasonOf({ ...base, updates: Array.from({ length: 129 }, () => tiny) })).toBe('updates has 129 entries, 128 are allowed');
  });

  test('what we send always fits: texts are cut, numbers bounded, updates left out', () => {
    const f = frameFrom('a', 1);
    const address = `${'h'.repeat(250)}:65535`;
    const crowded = {
      ...f,
      lease: { ...f.lease, lastAckAgeMs: Number.POSITIVE_INFINITY, leftMs: -5 },
      view: { ...f.view, ollamaReason: 'ü'.repeat(9_000), vetoes: Array.from({ length: 99 }, () => '漢'.repeat(500)), load: Number.NaN },
      updates: Array.from({ length: 16 }, (_, i) => ({ ...rowOf(`n${i}`), by: 'x'.repeat(63), address })),
    };
    const bytes = messageOut({ k: 'frame', frame: crowded });
    expect(bytes.length).toBeLessThanOrEqual(ENVELOPE_MAX_BYTES);
    const parsed = messageIn(bytes);
    expect(parsed).toMatchObject({ ok: true, value: { frame: { lease: { lastAckAgeMs: 0xffff_ffff, leftMs: 0 } } } });
    expect(messageOut({ k: 'frame', frame: f }).length).toBeLessThan(1_024);
  });

  test('takes control characters out of texts that reach a terminal', () => {
    const f = frameFrom('a', 1);
    const parsed = messageIn(messageOut({ k: 'frame', frame: { ...f, view: { ...f.view, ollamaReason: 'a\u001b[2Jb\nc' } } }));
    expect(parsed).toMatchObject({ ok: true, value: { frame: { view: { ollamaReason: 'a [2Jb c' } } } });
  });

  test('refuses a table of another cluster or in the name of another node', () => {
    const table = tableOut('lab', { node: 'a', boot: 1 }, [rowOf('a')]);
    expect(tableIn(table, 'lab', 'a').ok).toBe(true);
    expect(tableIn(table, 'other', 'a').ok).toBe(false);
    expect(tableIn(table, 'lab', 'b').ok).toBe(false);
  });

  test('an inventory goes round, refused ones keep their reason, and no path leaves the store', () => {
    const model = {
      path: MODEL_PATH,
      manifestDigest: DIGEST,
      manifestBytes: 1,
      sizeBytes: 2,
      complete: false,
      missingBytes: 3,
      weights: '',
    } as const;
    const answer = { boot: 1, epoch: 2, inventory: { version: 3, models: [model], refused: 'unreadable' } };
    expect(inventoryIn(inventoryOut(answer))).toEqual({ ok: true, value: answer });
    const downloading = { ...answer, inventory: { ...answer.inventory, loose: [{ digest: DIGEST, sizeBytes: 5 }] } };
    expect(inventoryIn(inventoryOut(downloading))).toEqual({ ok: true, value: downloading });
    const loose = [{ digest: '../../etc/passwd', sizeBytes: 5n }];
    expect(inventoryIn({ ...inventoryOut(downloading), loose }).ok).toBe(false);
    for (const path of ['../a/b/c', 'a/b/c', 'a/b/c/d/e', 'a/../b/c', '/a/b/c', 'a/b/.c/d', 'a//b/c']) {
      expect(manifestAskIn({ path, manifestDigest: DIGEST }).ok, path).toBe(false);
    }
  });

  test('reads addresses', () => {
    expect(splitAddress('10.0.0.1:11440')).toEqual({ host: '10.0.0.1', port: 11440 });
    expect(splitAddress('[::1]:1')).toEqual({ host: '::1', port: 1 });
    expect(splitAddress('gpu1.lan:65535')).toEqual({ host: 'gpu1.lan', port: 65535 });
    for (const bad of ['', 'a', 'a:0', 'a:65536', '::1:1', 'a b:1', '[zz]:1', ':1']) expect(splitAddress(bad), bad).toBeNull();
  });

  test('reads the name in a certificate, and takes no trick for one', () => {
    expect(nameOf('DNS:gpu1.lab.ollama-ha', 'lab')).toEqual({ kind: 'node', name: 'gpu1' });
    expect(nameOf('DNS:ann.operator.lab.ollama-ha', 'lab')).toEqual({ kind: 'operator', name: 'ann' });
    expect(nameOf('DNS:gpu1.lan, DNS:gpu1.lab.ollama-ha, IP Address:10.0.0.1', 'lab')).toEqual({ kind: 'node', name: 'gpu1' });
    for (const bad of [
      undefined,
      '',
      'DNS:gpu1.other.ollama-ha',
      'DNS:*.lab.ollama-ha',
      'DNS:a.b.lab.ollama-ha',
      'DNS:gpu1.lab.ollama-ha.evil',
      'DNS:a.lab.ollama-ha, DNS:b.lab.ollama-ha',
      'DNS:"x, DNS:gpu1.lab.ollama-ha, y"',
      'URI:gpu1.lab.ollama-ha',
    ]) {
      expect(nameOf(bad, 'lab'), String(bad)).toBeNull();
    }
  });
});
