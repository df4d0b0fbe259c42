// Do the agent and keepalived agree? Both change within milliseconds of each other, so only a difference that lasts is told.

/** keepalived's view of the instance; `at` is monotonic ms of the last change, 0 = none seen. */
export type Vrrp = {
  readonly alive: boolean;
  readonly state: 'MASTER' | 'BACKUP' | 'FAULT' | 'STOP' | '';
  readonly priority: number;
  readonly at: number;
};

/** Shorter differences are the way from one state to the other, ms. */
const LASTING_MS = 1000;

/** What differs for more than a second, in one sentence; '' = they agree. `wanted`: the agent holds the address, since `since` (monotonic ms). */
export function disagreement(vrrp: Vrrp, wanted: { readonly on: boolean; readonly since: number }, nowMs: number): string {
  if (nowMs - Math.max(vrrp.at, wanted.since) <= LASTING_MS) return '';
  if (!vrrp.alive) return 'keepalived is not running, or with another configuration';
  if (wanted.on) return vrrp.state === 'MASTER' ? '' : `the agent holds the address, but keepalived is ${nameOf(vrrp)}`;
  return vrrp.state === 'FAULT' || vrrp.state === '' ? '' : `the agent holds no lease, but keepalived is ${nameOf(vrrp)}, not in FAULT`;
}

function nameOf(vrrp: Vrrp): string {
  return vrrp.alive ? vrrp.state || 'silent so far' : 'not running';
}
