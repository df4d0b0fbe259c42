// The contract of a lease server: what every Redis that serves the lease must do, the simulator's model included.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ScriptCall, Snap } from '../../../src/core/lease/types.ts';
import type { Abilities, Answer, RedisSubject } from './subject.ts';

const a = 'gpu1#1001';
const b = 'gpu2#2001';
const meta = '{"addr":"10.0.0.1","ttl":2000,"lockDelay":0,"roster":["gpu1","gpu2"],"rosterVersion":1}';
const empty = { o: '', e: '', n: '', rel: '', heir: '', hi: '', meta: '' };

const claim = (seen: Snap, me: string, epoch: number, nonce: string): ScriptCall => cas('claim', seen, me, epoch, nonce);
const adopt = (seen: Snap, me: string, epoch: number, nonce: string): ScriptCall => cas('adopt', seen, me, epoch, nonce);
const cas = (mode: 'claim' | 'adopt', { run, o, e, n }: Snap, me: string, epoch: number, nonce: string): ScriptCall => ({
  script: 'cas',
  mode,
  run,
  o,
  e,
  n,
  me,
  epoch,
  nonce,
  meta,
});
const renew = (run: string, me: string, epoch: number, nonce: string): ScriptCall => ({ script: 'renew', run, me, epoch, nonce, meta });
const release = (me: string, epoch: number, nonce: string, heir = ''): ScriptCall => ({ script: 'release', me, epoch, nonce, heir });
const read = (nonce: string): ScriptCall => ({ script: 'read', nonce });

/** Registers the suite for one kind of server. */
export function describeRedisContract(name: string, open: () => Promise<RedisSubject>, abilities: Abilities): void {
  describe(`the contract of a lease server, kept by ${name}`, () => {
    let redis: RedisSubject;
    beforeEach(async () => {
      redis = await open();
    });
    afterEach(async () => {
      await redis.close();
    });

    const answer = async (call: ScriptCall) => {
      const got = await redis.ask(call);
      if ('failure' in got) throw new Error(`no reply: ${got.failure}`);
      return got;
    };
    /** gpu1 holds epoch 1 with nonce a:1. */
    const held = async () => (await answer(claim((await answer(read('t:1'))).snap, a, 1, 'a:1'))).snap;
    const recordOf = async () => (await answer(read('unused'))).snap;

    test('a vacant record gets a nonce at the first read and keeps it at the second', async () => {
      const first = await answer(read('t:1'));
      expect(first.code).toBe('ok');
      expect(first.snap).toEqual({ ...empty, run: first.snap.run, e: '0', n: 't:1', rel: '0', hi: '0' });
      expect(first.snap.run).toMatch(/^[0-9a-f]{40}$/);
      expect(await answer(read('t:2'))).toEqual(first);
    });

    test('a claim on exactly the observed record takes the lease', async () => {
      const { snap } = await answer(read('t:1'));
      const got = await answer(claim(snap, a, 5, 'a:1'));
      expect(got).toEqual({ code: 'ok', snap: { run: snap.run, o: a, e: '5', n: 'a:1', rel: '0', heir: '', hi: '5', meta } });
      expect(await recordOf()).toEqual(got.snap);
    });

    test('a claim on a record without a nonce is possible too', async () => {
      const { snap } = await answer(release(a, 1, 'x'));
      expect(snap).toEqual({ ...empty, run: snap.run });
      expect((await answer(claim(snap, a, 1, 'a:1'))).code).toBe('ok');
    });

    test('a call for another server process answers run and changes nothing', async () => {
      const snap = await held();
      const other = '0'.repeat(40);
      expect(await answer(claim({ ...snap, run: other }, b, 9, 'b:1'))).toEqual({ code: 'run', snap });
      expect(await answer(renew(other, a, 1, 'a:2'))).toEqual({ code: 'run', snap });
      expect(await recordOf()).toEqual(snap);
    });

    test.each([['o'], ['e'], ['n']] as const)('a claim on a record whose %s was observed otherwise answers changed', async (field) => {
      const snap = await held();
      expect(await answer(claim({ ...snap, [field]: '77' }, b, 9, 'b:1'))).toEqual({ code: 'changed', snap });
      expect(await recordOf()).toEqual(snap);
    });

    test('a claim must exceed the highest epoch ever written, an adoption need not', async () => {
      const first = await answer(claim((await answer(read('t:1'))).snap, a, 9, 'a:1'));
      for (const epoch of [8, 9]) expect(await answer(claim(first.snap, b, epoch, 'b:1'))).toEqual({ code: 'epoch', snap: first.snap });
      const lower = await answer(adopt(first.snap, b, 4, 'b:2'));
      expect([lower.code, lower.snap.e, lower.snap.hi]).toEqual(['ok', '4', '9']);
      expect((await answer(claim(lower.snap, a, 9, 'a:2'))).code).toBe('epoch');
      expect((await answer(claim(lower.snap, a, 10, 'a:3'))).code).toBe('ok');
    });

    test('epochs compare as numbers up to 2^53 - 1', async () => {
      const low = await answer(claim((await answer(read('t:1'))).snap, a, 9, 'a:1'));
      const high = await answer(claim(low.snap, a, 10, 'a:2'));
      expect(high.code).toBe('ok');
      const top = await answer(claim(high.snap, b, Number.MAX_SAFE_INTEGER, 'b:1'));
      expect([top.code, top.snap.hi]).toEqual(['ok', '9007199254740991']);
      expect((await answer(claim(top.snap, b, Number.MAX_SAFE_INTEGER - 1, 'b:2'))).code).toBe('epoch');
    });

    test('the holder renews, and nobody else does', async () => {
      const snap = await held();
      const renewed = await answer(renew(snap.run, a, 1, 'a:2'));
      expect(renewed).toEqual({ code: 'ok', snap: { ...snap, n: 'a:2' } });
      expect(await answer(renew(snap.run, b, 1, 'b:1'))).toEqual({ code: 'lost', snap: renewed.snap });
      expect(await answer(renew(snap.run, a, 2, 'a:3'))).toEqual({ code: 'lost', snap: renewed.snap });
    });

    test('a released record cannot be renewed, keeps its epoch, and can be claimed', async () => {
      const snap = await held();
      const freed = await answer(release(a, 1, 'a:2', 'gpu2'));
      expect(freed).toEqual({ code: 'ok', snap: { ...snap, n: 'a:2', rel: '1', heir: 'gpu2' } });
      expect(await answer(renew(snap.run, a, 1, 'a:3'))).toEqual({ code: 'lost', snap: freed.snap });
      const next = await answer(claim(freed.snap, b, 2, 'b:1'));
      expect([next.code, next.snap.rel, next.snap.heir]).toEqual(['ok', '0', '']);
    });

    test('only the very owner and epoch can be released', async () => {
      const snap = await held();
      expect(await answer(release(b, 1, 'b:1'))).toEqual({ code: 'lost', snap });
      expect(await answer(release(a, 2, 'a:2'))).toEqual({ code: 'lost', snap });
      expect(await recordOf()).toEqual(snap);
    });

    test('two claims on one observation: the first wins, the second answers changed', async () => {
      const { snap } = await answer(read('t:1'));
      const [first, second] = await Promise.all([redis.ask(claim(snap, a, 1, 'a:1')), redis.ask(claim(snap, b, 2, 'b:1'))]);
      expect([codeOf(first), codeOf(second)]).toEqual(['ok', 'changed']);
      expect((await recordOf()).o).toBe(a);
    });

    test('a restart without data is a new, empty server', async () => {
      const before = await held();
      await redis.restart('empty');
      const renewal = await answer(renew(before.run, a, 1, 'a:2'));
      expect(renewal.code).toBe('run');
      expect(renewal.snap).toEqual({ ...empty, run: renewal.snap.run });
      expect(renewal.snap.run).not.toBe(before.run);
      expect((await answer(read('t:2'))).snap.n).toBe('t:2');
    });

    test('commands of a stalled server time out at the client and run when it wakes', async () => {
      const snap = await held();
      redis.stall();
      expect(await redis.ask(renew(snap.run, a, 1, 'a:2'))).toEqual({ failure: 'timeout' });
      await redis.resume();
      expect(await recordOf()).toEqual({ ...snap, n: 'a:2' });
    });

    test('a claim that ran late voids every other claim on the same observation', async () => {
      const { snap } = await answer(read('t:1'));
      redis.stall();
      expect(await redis.ask(claim(snap, b, 4, 'b:1'))).toEqual({ failure: 'timeout' });
      await redis.resume();
      const late = await answer(claim(snap, a, 5, 'a:1'));
      expect([late.code, late.snap.o, late.snap.n]).toEqual(['changed', b, 'b:1']);
    });

    test('a release of a failed attempt that runs late frees only that attempt', async () => {
      const first = await held();
      redis.stall();
      expect(await redis.ask(release(a, 1, 'a:2'))).toEqual({ failure: 'timeout' });
      await redis.resume();
      const freed = await recordOf();
      expect(freed.rel).toBe('1');
      const again = await answer(claim(freed, a, 2, 'a:3'));
      expect(await answer(release(a, 1, 'a:4'))).toEqual({ code: 'lost', snap: again.snap });
      expect(again.snap.run).toBe(first.run);
    });

    if (abilities.admin) describeAdministered(() => redis, answer, held, recordOf);
  });
}

/** The cases that need an administrator: data kept, rolled back or flushed, and the server's refusals. */
function describeAdministered(
  subject: () => RedisSubject,
  answer: (call: ScriptCall) => Promise<Extract<Answer, { code: string }>>,
  held: () => Promise<Snap>,
  recordOf: () => Promise<Snap>,
): void {
  test('a restart with all data keeps the record under a new run_id', async () => {
    const before = await held();
    await subject().restart('all');
    const after = await recordOf();
    expect(after.run).not.toBe(before.run);
    expect(after).toEqual({ ...before, run: after.run });
    expect((await answer(claim(before, b, 9, 'b:1'))).code).toBe('run');
    expect((await answer(adopt(after, a, 1, 'a:2'))).code).toBe('ok');
  });

  test('a rollback brings back the old record and the old highest epoch', async () => {
    const before = await held();
    const saved = await subject().save();
    expect((await answer(claim(before, b, 8, 'b:1'))).code).toBe('ok');
    await subject().restart(saved);
    const after = await recordOf();
    expect(after).toEqual({ ...before, run: after.run });
    expect(after.run).not.toBe(before.run);
    expect((await answer(claim(after, b, 2, 'b:2'))).code).toBe('ok');
  });

  test('FLUSHALL leaves a vacant record in the same process', async () => {
    const before = await held();
    await subject().flushAll();
    expect(await answer(renew(before.run, a, 1, 'a:2'))).toEqual({ code: 'lost', snap: { ...empty, run: before.run } });
    const { snap } = await answer(read('t:2'));
    expect([snap.run, snap.o, snap.n, snap.hi]).toEqual([before.run, '', 't:2', '0']);
    expect((await answer(adopt(snap, a, 1, 'a:3'))).code).toBe('ok');
  });

  test.each([['oom'], ['readonly']] as const)('under -%s reads answer, writes fail and change nothing', async (fault) => {
    const snap = await held();
    await subject().setFault(fault);
    expect(await subject().ask(renew(snap.run, a, 1, 'a:2'))).toEqual({ failure: fault });
    expect(await subject().ask(claim(snap, b, 2, 'b:1'))).toEqual({ failure: fault });
    expect(await subject().ask(release(a, 1, 'a:3'))).toEqual({ failure: fault });
    expect(await answer(renew('0'.repeat(40), a, 1, 'a:4'))).toEqual({ code: 'run', snap });
    expect(await recordOf()).toEqual(snap);
    await subject().setFault('none');
    expect((await answer(renew(snap.run, a, 1, 'a:5'))).code).toBe('ok');
  });

  test('under -oom a vacant record cannot get its nonce', async () => {
    await subject().setFault('oom');
    expect(await subject().ask(read('t:1'))).toEqual({ failure: 'oom' });
  });

  test('a loading server refuses everything and has a new run_id afterwards', async () => {
    const before = await held();
    await subject().setFault('loading');
    expect(await subject().ask(read('t:2'))).toEqual({ failure: 'loading' });
    expect(await subject().ask(renew(before.run, a, 1, 'a:2'))).toEqual({ failure: 'loading' });
    await subject().setFault('none');
    const after = await recordOf();
    expect(after.run).not.toBe(before.run);
    expect(after).toEqual({ ...before, run: after.run });
  });
}

function codeOf(answer: Answer): string {
  return 'code' in answer ? answer.code : answer.failure;
}
