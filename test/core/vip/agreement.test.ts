import { expect, test } from 'vitest';
import { disagreement, type Vrrp } from '../../../src/core/vip/agreement.ts';

const vrrp = (more: Partial<Vrrp> = {}): Vrrp => ({ alive: true, state: 'FAULT', priority: 3, at: 1000, ...more });
const on = { on: true, since: 1000 };
const off = { on: false, since: 1000 };

test('MASTER with the lease and FAULT without it agree', () => {
  expect(disagreement(vrrp({ state: 'MASTER' }), on, 9000)).toBe('');
  expect(disagreement(vrrp(), off, 9000)).toBe('');
});

test('a difference is told once it has lasted for more than a second since the last change on either side', () => {
  expect(disagreement(vrrp(), on, 2000)).toBe('');
  expect(disagreement(vrrp(), on, 2001)).toBe('the agent holds the address, but keepalived is FAULT');
  expect(disagreement(vrrp(), { ...on, since: 1500 }, 2400)).toBe('');
  expect(disagreement(vrrp({ at: 1500 }), on, 2400)).toBe('');
  expect(disagreement(vrrp({ state: 'MASTER' }), off, 2001)).toBe('the agent holds no lease, but keepalived is MASTER, not in FAULT');
});

test('a keepalived that is away is told, one that has not spoken yet only where it is needed', () => {
  expect(disagreement(vrrp({ alive: false, state: '' }), off, 2001)).toContain('not running');
  expect(disagreement(vrrp({ state: '', at: 0 }), off, 2001)).toBe('');
  expect(disagreement(vrrp({ state: '', at: 0 }), on, 2001)).toContain('silent so far');
});
