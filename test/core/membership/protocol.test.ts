import { describe, expect, test } from 'vitest';
import { createMembership, membersOf, stepMembership } from '../../../src/core/membership/machine.ts';
import { PROTOCOL, protocolText, understands } from '../../../src/core/membership/protocol.ts';
import type { MembershipInput } from '../../../src/core/membership/types.ts';
import { frameOf } from './frame.ts';

const older = { v: 1, vMin: 1 };
const between = { v: 2, vMin: 1 };
const newer = { v: 3, vMin: 2 };
const at = (mono: number) => ({ mono, boot: mono, wall: mono });

function frame(seq: number, protocol: { v: number; vMin: number }): MembershipInput {
  const beat = { k: 'heartbeat', to: 'a', seq, echoSeq: 0, echoDelayMs: 0, updates: [], digest: 1, inc: 7 } as const;
  return { k: 'frame', from: 'b', frame: { ...frameOf('lab', 'b', 7, beat, false), ...protocol } };
}

describe('a rolling upgrade', () => {
  test('neighbouring protocols understand each other in both directions, those further apart in neither', () => {
    for (const [one, other, together] of [
      [older, between, true],
      [between, newer, true],
      [older, newer, false],
    ] as const) {
      expect(understands(one, other)).toBe(together);
      expect(understands(other, one)).toBe(together);
    }
  });

  test('the refusal names both ranges and the node to upgrade', () => {
    expect(protocolText('b', newer, older)).toBe('b understands peer protocol 2 to 3, this agent speaks 1: upgrade ollama-ha on this node');
    expect(protocolText('b', older, newer)).toBe('b speaks peer protocol 1, this agent understands 2 to 3: upgrade ollama-ha on b');
  });

  test('a node of another protocol is named once, not believed to live, and taken in after its upgrade', () => {
    const config = {
      node: 'a',
      boot: 5,
      cluster: 'lab',
      address: 'a:1',
      peers: [{ node: 'b', address: 'b:1' }],
      heartbeatMs: 200,
      stallMs: 100,
    };
    let state = createMembership(config, at(0), 1);
    let clock = 0;
    const give = (input: MembershipInput) => {
      clock += 20;
      const turn = stepMembership(state, input, at(clock));
      state = turn.state;
      return turn.effects.flatMap((e) => (e.k === 'foreign' || e.k === 'memberEvent' ? [e] : []));
    };
    const strange = { v: PROTOCOL.v + 2, vMin: PROTOCOL.v + 1 };
    give({ k: 'link', peer: 'b', up: true, hard: false });
    expect(give(frame(1, strange))).toEqual([{ k: 'foreign', node: 'b', protocol: strange }]);
    expect(give(frame(2, strange))).toEqual([]);
    expect(give({ k: 'foreign', from: 'b', protocol: strange })).toEqual([]);
    expect(membersOf(state)[0]).toMatchObject({ node: 'b', foreign: strange, heardAt: -Infinity, frame: null });
    const next = { v: PROTOCOL.v + 1, vMin: PROTOCOL.v };
    expect(give(frame(3, next))).toMatchObject([{ k: 'memberEvent', node: 'b', to: 'alive' }]);
    expect(membersOf(state)[0]).toMatchObject({ node: 'b', foreign: null, state: 'alive' });
  });
});
