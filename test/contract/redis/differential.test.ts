// Any sequence of calls: the model and the real server answer alike, field by field.
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ScriptCall, Snap } from '../../../src/core/lease/types.ts';
import type { Answer, RedisSubject } from './subject.ts';
import { openModel, openPlain } from './subjects.ts';

/** A call as drawn: what depends on the server's run_id or on the last reply is filled in for each server. */
type Draw = {
  readonly script: 'read' | 'claim' | 'adopt' | 'renew' | 'release' | 'flush';
  readonly me: string;
  readonly epoch: number;
  readonly run: 'same' | 'other';
  readonly seen: 'last' | 'stale' | 'first';
  readonly heir: string;
};

const draws = fc.array(
  fc.record<Draw>({
    script: fc.constantFrom('read', 'claim', 'claim', 'adopt', 'renew', 'renew', 'release', 'flush'),
    me: fc.constantFrom('gpu1#1', 'gpu2#2'),
    epoch: fc.constantFrom(0, 1, 2, 9, 10, 1_795_000_000_000, Number.MAX_SAFE_INTEGER),
    run: fc.constantFrom('same', 'same', 'same', 'other'),
    seen: fc.constantFrom('last', 'last', 'last', 'stale', 'first'),
    heir: fc.constantFrom('', 'gpu1'),
  }),
  { minLength: 1, maxLength: 25 },
);

let model: RedisSubject;
let real: RedisSubject;
beforeAll(async () => {
  [model, real] = await Promise.all([openModel(), openPlain()]);
});
afterAll(async () => {
  await Promise.all([model.close(), real.close()]);
});

test('every sequence of calls gets the same replies from the model and from redis-server', async () => {
  const codes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(draws, async (sequence) => {
      const [expected, got] = await Promise.all([play(real, sequence), play(model, sequence)]);
      expect(got).toEqual(expected);
      for (const answer of got) if (answer !== null) codes.add('code' in answer ? answer.code : answer.failure);
    }),
    { numRuns: 150 },
  );
  expect([...codes].sort()).toEqual(['changed', 'epoch', 'lost', 'ok', 'run']);
});

/** Plays the sequence on an empty server; the run_id of a reply is replaced by a word, since no two servers share it. */
async function play(redis: RedisSubject, sequence: readonly Draw[]): Promise<(Answer | null)[]> {
  await redis.flushAll();
  const first = snapOf(await redis.ask({ script: 'read', nonce: 'start' }));
  const seen = { first, stale: first, last: first };
  const answers: (Answer | null)[] = [];
  for (const [i, draw] of sequence.entries()) {
    if (draw.script === 'flush') {
      await redis.flushAll();
      answers.push(null);
      continue;
    }
    const answer = await redis.ask(callOf(draw, seen[draw.seen], `n:${i}`));
    const snap = snapOf(answer);
    seen.stale = seen.last;
    seen.last = snap;
    answers.push('code' in answer ? { code: answer.code, snap: { ...snap, run: snap.run === first.run ? 'run' : 'other' } } : answer);
  }
  return answers;
}

function callOf(draw: Draw, seen: Snap, nonce: string): ScriptCall {
  const run = draw.run === 'same' ? seen.run : 'f'.repeat(40);
  const { me, epoch, heir } = draw;
  const meta = `{"addr":"${me}"}`;
  switch (draw.script) {
    case 'claim':
    case 'adopt':
      return { script: 'cas', mode: draw.script, run, o: seen.o, e: seen.e, n: seen.n, me, epoch, nonce, meta };
    case 'renew':
      return { script: 'renew', run, me, epoch, nonce, meta };
    case 'release':
      return { script: 'release', me, epoch, nonce, heir };
    default:
      return { script: 'read', nonce };
  }
}

function snapOf(answer: Answer): Snap {
  if ('failure' in answer) throw new Error(`no reply: ${answer.failure}`);
  return answer.snap;
}
