// The record in Redis may have been written by anything: any answer is refused in one bounded line, or taken as it stands.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseReply } from '../../../src/drivers/redis/reply.ts';

const word = fc.oneof(fc.string({ maxLength: 300 }), fc.constantFrom('', '0', '1', 'ok', 'lost', '12', 'ab'.repeat(20)));
const nine = fc.tuple(
  fc.constantFrom('ok', 'run', 'changed', 'epoch', 'lost', 'no'),
  fc.oneof(fc.constant('ab'.repeat(20)), word),
  word,
  fc.oneof(fc.nat().map(String), word),
  word,
  fc.constantFrom('', '0', '1', '2'),
  word,
  fc.oneof(fc.nat().map(String), word),
  fc.oneof(fc.json(), fc.string({ maxLength: 20_000 })),
);

test('never throws on any value', () => {
  fc.assert(fc.property(fc.oneof(fc.anything(), fc.array(fc.anything(), { minLength: 9, maxLength: 9 })), (raw) => void parseReply(raw)));
});

test('takes nine strings of the shape of the record unchanged, and nothing beyond its bounds', () => {
  fc.assert(
    fc.property(nine, (raw) => {
      const parsed = parseReply(raw);
      if ('problem' in parsed) {
        expect(parsed.problem.length).toBeLessThan(300);
        return;
      }
      const { run, o, e, n, rel, heir, hi, meta } = parsed.snap;
      expect([parsed.code, run, o, e, n, rel, heir, hi, meta]).toEqual(raw);
      expect(o.length <= 128 && n.length <= 200 && heir.length <= 63 && meta.length <= 16_384).toBe(true);
      for (const epoch of [e, hi]) expect(epoch).toMatch(/^[0-9]{0,16}$/);
    }),
    { numRuns: 500 },
  );
});
