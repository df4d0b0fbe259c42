import { describe, expect, test } from 'vitest';
import { membersOf } from '../../src/core/membership/machine.ts';
import { takeQuietly } from '../../src/core/membership/quiet.ts';
import type { Frame } from '../../src/core/membership/types.ts';
import { createCluster } from './cluster.ts';

// A cluster at rest, and the next heartbeat that `a` would get from `b`.
function atRest() {
  const cluster = createCluster(['a', 'b', 'c']);
  cluster.elect(10_000);
  cluster.run(cluster.now() + 10_000);
  const { state } = cluster.get('a');
  const last = membersOf(state.membership).find((m) => m.node === 'b')?.frame ?? null;
  if (last === null) throw new Error('b was not heard');
  const mono = state.membership.wakeAt - 1;
  const now = { mono, boot: mono, wall: mono };
  const next: Frame = { ...last, seq: last.seq + 1, updates: [], digest: state.membership.digest };
  return { membership: state.membership, next, now };
}

describe('a heartbeat that says nothing new', () => {
  test('is taken without a look at everybody else, and proves its sender alive', () => {
    const { membership, next, now } = atRest();
    const after = takeQuietly(membership, 'b', next, now);
    if (after === null) throw new Error('it was not taken');
    expect(membersOf(after).find((m) => m.node === 'b')).toMatchObject({ heardAt: now.mono, state: 'alive', frame: next });
    expect({ ...after, peers: null, now: 0 }).toEqual({ ...membership, peers: null, now: 0 });
  });

  test('goes the whole way as soon as anything about it is unusual, or anything is due', () => {
    const { membership, next, now } = atRest();
    const unusual: Partial<Frame>[] = [
      { node: 'c' },
      { cluster: 'other' },
      { v: 9, vMin: 9 },
      { boot: next.boot + 1 },
      { inc: next.inc + 1 },
      { seq: next.seq - 1 },
      { digest: next.digest + 1 },
      { leaving: true },
      { role: next.role === 'active' ? 'standby' : 'active' },
      { maxEpoch: next.maxEpoch + 1 },
      { settingsHash: next.settingsHash + 1 },
      { inventoryVersion: next.inventoryVersion + 1 },
      { serversReached: next.serversReached + 1 },
      { lease: { ...next.lease, epoch: next.lease.epoch + 1 } },
      { lease: { ...next.lease, mode: 'failsafe' } },
      { view: { ...next.view, ollama: 'down' } },
      { view: { ...next.view, vetoes: ['ollama is down'] } },
      { updates: [{ node: 'c', boot: 1, inc: 1, state: 'suspect', by: 'b', ageMs: 0, address: '' }] },
    ];
    for (const fields of unusual) expect(takeQuietly(membership, 'b', { ...next, ...fields }, now), JSON.stringify(fields)).toBeNull();
    const due = { ...now, mono: membership.wakeAt };
    expect(takeQuietly(membership, 'b', next, due)).toBeNull();
    expect(takeQuietly(membership, 'x', { ...next, node: 'x' }, now)).toBeNull();
  });
});
