// What comes from outside as text: nothing in it makes the core throw, and what is taken is bounded. (The wire: test/drivers/grpc/convert.test.ts.)
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENTRY_TEXT_MAX, readEntry } from '../../src/core/history.ts';
import { observe, ripeAt } from '../../src/core/lease/observe.ts';
import type { Snap } from '../../src/core/lease/types.ts';
import { leaseConfigOf, waitOf } from '../sim/presets.ts';

const config = leaseConfigOf('fast', 1, 'lockdelay');
const record = (over: Partial<Snap>): Snap => ({ run: 'r', o: 'b#1', e: '1', n: 'b#1:1', rel: '0', heir: '', hi: '1', meta: '', ...over });

const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(Number.MAX_SAFE_INTEGER, 60_000, 60_001, -1));
const anyMeta = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.json(),
  fc
    .record({
      ttl: fc.oneof(number, fc.json()),
      lockDelay: fc.oneof(number, fc.json()),
      roster: fc.oneof(fc.array(fc.oneof(fc.string({ maxLength: 80 }), fc.integer()), { maxLength: 300 }), fc.json()),
      rosterVersion: fc.oneof(number, fc.json()),
      addr: fc.oneof(fc.string({ maxLength: 400 }), fc.json()),
    })
    .map((meta) => JSON.stringify(meta)),
);

test('the meta of a record never throws, and no wait that it names is longer than a minute', () => {
  fc.assert(
    fc.property(anyMeta, (meta) => {
      const { meta: seen } = observe(null, record({ meta }), 0, config);
      for (const ms of [seen.ttlMs, seen.lockDelayMs]) expect(ms >= 0 && ms <= 60_000).toBe(true);
      expect(seen.roster.length).toBeLessThanOrEqual(256);
      expect(seen.roster.every((name) => name.length <= 63)).toBe(true);
      expect(Number.isSafeInteger(seen.rosterVersion)).toBe(true);
      expect(seen.addr.length).toBeLessThanOrEqual(255);
    }),
  );
});

test('a meta that cannot be read makes nobody claim earlier than a sound one', () => {
  fc.assert(
    fc.property(anyMeta, (meta) => {
      const seen = observe(null, record({ meta }), 1000, config);
      expect(ripeAt(seen, 'a', [], config)).toBeGreaterThanOrEqual(1000 + waitOf(config.ttlMs, config.driftPpm));
    }),
  );
});

const field = fc.constantFrom('', '0', '1', 'x');
const snaps = fc.array(
  fc.record({
    run: fc.constantFrom('r', 's'),
    o: fc.constantFrom('', 'b#1'),
    e: field,
    n: field,
    rel: fc.constantFrom('', '0', '1'),
    heir: field,
  }),
  { minLength: 1, maxLength: 12 },
);

test('an observation counts from the last change that was read, and reading the same again changes no wait', () => {
  fc.assert(
    fc.property(snaps, (list) => {
      let seen = observe(null, record(list[0] ?? {}), 0, config);
      let [runSince, recSince] = [0, 0];
      list.slice(1).forEach((over, i) => {
        const at = 10 * (i + 1);
        const before = seen.snap;
        seen = observe(seen, record(over), at, config);
        const { run, o, e, n, rel } = seen.snap;
        if (run !== before.run) [runSince, recSince] = [at, at];
        else if (o !== before.o || e !== before.e || n !== before.n || rel !== before.rel) recSince = at;
        expect(seen).toMatchObject({ runSince, recSince, seenAt: at });
        const again = observe(seen, seen.snap, at + 5, config);
        expect(ripeAt(again, 'a', [], config)).toBe(ripeAt(seen, 'a', [], config));
        expect(observe(again, seen.snap, at + 5, config)).toEqual(again);
      });
    }),
  );
});

test('a line of history never throws, and goes round unchanged when it is taken', () => {
  const text = fc.string({ maxLength: 80 });
  const entry = fc.record({
    epoch: fc.oneof(fc.nat(), number),
    from: text,
    to: text,
    cause: text,
    reason: fc.string({ maxLength: 700 }),
    by: text,
    atMs: fc.nat(),
    phasesMs: fc.oneof(fc.dictionary(text, fc.double()), fc.json()),
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        entry.map((e) => JSON.stringify(e)),
      ),
      (line) => {
        const taken = readEntry(line);
        if (taken === null) return;
        expect(line.length).toBeLessThanOrEqual(ENTRY_TEXT_MAX);
        expect(readEntry(JSON.stringify(taken))).toEqual(taken);
        for (const word of [taken.from, taken.to, taken.cause, taken.by]) expect(word.length).toBeLessThanOrEqual(64);
      },
    ),
  );
});
