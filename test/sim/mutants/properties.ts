// What no seed reaches is proven by properties, of the product (test/core) and of the mutants alike: each takes the folder of a core.
import fc from 'fast-check';
import type { createLease, stepLease } from '../../../src/core/lease/machine.ts';
import type { learnRoster } from '../../../src/core/lease/roster.ts';
import type { LeaseContext, LeaseInput, Roster } from '../../../src/core/lease/types.ts';
import type { MemberRecord, merge } from '../../../src/core/membership/merge.ts';
import { leaseConfigOf, waitOf } from '../presets.ts';
import { createRedisModel, execute } from '../redis-model/model.ts';

/** A statement about a core that must hold for every value drawn. */
export type Property = 'wrap' | 'members' | 'rosters';

type Lease = { readonly createLease: typeof createLease; readonly stepLease: typeof stepLease };

const CONTEXT: LeaseContext = {
  veto: null,
  rank: 0,
  suspicious: false,
  fence: true,
  roster: ['n0', 'n1'],
  rosterVersion: 1,
  address: 'n0',
  gossipEpoch: 0,
  stalled: false,
};

/** Ms from the claim until this node acts, after a holder of this epoch that did, or did not, release it. One server that answers at once. */
function actsAfter({ createLease, stepLease }: Lease, epoch: number, released: boolean): number {
  const config = leaseConfigOf('fast', 1, 'storm');
  const model = createRedisModel({ runIdSeed: 1 });
  const vacant = execute(model, { script: 'read', nonce: 'x:1' });
  if ('failure' in vacant) throw new Error(vacant.failure);
  const { run, o, e, n } = vacant.snap;
  execute(model, { script: 'cas', mode: 'claim', run, o, e, n, me: 'n1#1', epoch, nonce: 'n1#1:1', meta: '' });
  let mono = 1000;
  const now = () => ({ mono, boot: mono, wall: mono });
  let state = createLease({ node: 'n0', boot: 2 }, config, now(), 1, 0);
  let claimedAt = Number.NaN;
  const turn = (input: LeaseInput): boolean => {
    const result = stepLease(state, input, CONTEXT, now());
    state = result.state;
    let acting = result.desired.acting;
    for (const effect of result.effects) {
      if (effect.k !== 'redis') continue;
      const answer = execute(model, effect.call);
      if (effect.call.script === 'cas' && Number.isNaN(claimedAt)) claimedAt = mono;
      if (!('failure' in answer)) acting = turn({ k: 'reply', server: 0, op: effect.op, code: answer.code, snap: answer.snap });
    }
    return acting;
  };
  turn({ k: 'tick' });
  // Seen owned first: only an owner that was seen is waited for.
  if (released) execute(model, { script: 'release', me: 'n1#1', epoch, nonce: 'n1#1:2', heir: '' });
  for (; mono < 20_000; mono += 10) if (turn({ k: 'tick' })) return mono - claimedAt;
  return Number.POSITIVE_INFINITY;
}

const record: fc.Arbitrary<MemberRecord> = fc.record({
  boot: fc.integer({ min: 1, max: 3 }),
  inc: fc.integer({ min: 3, max: 6 }),
  state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  accusers: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 4 }).map((list) => [...list].sort()),
});

// Two rosters of one version and epoch are one: only the holder of the epoch writes them.
const roster: fc.Arbitrary<Roster> = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
  .map(([version, epoch]) => ({ version, epoch, nodes: ['n0', `n${version}-${epoch}`] }));

/** Makes the property of the core in this folder (a URL that ends with a slash). */
export async function propertyOf(name: Property, core: string): Promise<fc.IProperty<unknown>> {
  const load = async <T>(file: string): Promise<T> => (await import(new URL(file, core).href)) as T;
  switch (name) {
    case 'wrap': {
      // The epoch modulo 250 is the VRRP priority: where it falls, an owner that may still act is the stronger one on the wire.
      const lease = await load<Lease>('lease/machine.ts');
      const { ttlMs, driftPpm } = leaseConfigOf('fast', 1, 'storm');
      return fc.property(fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.constantFrom(249, 499, 2499)), fc.boolean(), (epoch, released) => {
        const waits = !released && (epoch + 1) % 250 < epoch % 250;
        const after = actsAfter(lease, epoch, released);
        return waits ? after >= waitOf(ttlMs, driftPpm) && after < 2 * ttlMs : after < 50;
      }) as fc.IProperty<unknown>;
    }
    case 'members': {
      const { merge: join } = await load<{ readonly merge: typeof merge }>('membership/merge.ts');
      const same = (a: MemberRecord, b: MemberRecord) => JSON.stringify(a) === JSON.stringify(b);
      return fc.property(record, record, record, (a, b, c) => {
        const tidy = ({ boot, inc, state, accusers }: MemberRecord): MemberRecord => ({ boot, inc, state, accusers });
        const join3 = (x: MemberRecord, y: MemberRecord) => tidy(join(x, y));
        return same(join3(a, b), join3(b, a)) && same(join3(join3(a, b), c), join3(a, join3(b, c))) && same(join3(a, a), tidy(a));
      }) as fc.IProperty<unknown>;
    }
    case 'rosters': {
      const { learnRoster: learn } = await load<{ readonly learnRoster: typeof learnRoster }>('lease/roster.ts');
      const learnAll = (seen: readonly Roster[]): Roster | null => {
        const d = { roster: null as Roster | null } as Parameters<typeof learnRoster>[0];
        for (const { version, epoch, nodes } of seen) {
          const snap = { run: 'r', o: 'n1#1', e: String(epoch), n: 'n1#1:1', rel: '0', heir: '', hi: String(epoch), meta: '' };
          const meta = { ttlMs: 900, lockDelayMs: 0, roster: nodes, rosterVersion: version, addr: '' };
          learn(d, { snap, meta, runSince: 0, recSince: 0, seenAt: 0 });
        }
        return d.roster;
      };
      return fc.property(fc.array(roster, { minLength: 1, maxLength: 6 }), fc.nat(), (seen, shift) => {
        const at = shift % seen.length;
        const text = (r: Roster | null) => JSON.stringify(r);
        const once = text(learnAll(seen));
        const turned = [...seen.slice(at), ...seen.slice(0, at)];
        return (
          once === text(learnAll(turned)) && once === text(learnAll([...turned].reverse())) && once === text(learnAll([...seen, ...turned]))
        );
      }) as fc.IProperty<unknown>;
    }
  }
}
