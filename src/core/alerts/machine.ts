// Which alerts fire and which are over. Pure: facts and clocks come in, notices come out.
//
// Theory of operation
//   - Every node runs this machine over its own view; what concerns the cluster is sent by one of them only: the active, or without one the
//     living member with the lowest id. `sends` says whether that is this node.
//   - A condition fires once it has held for the rule's time, and is over once it has been absent for CLEAR_MS: one good look ends nothing.
//   - When the task of sending passes to this node, an alert that began more than TAKEOVER_MS ago was sent by the node before; a younger one is
//     sent (again, maybe: the key of the message is the same, and two messages are better than none).
//   - A firing alert is sent again after `repeatMs`.
import { conditionsOf, ruleOf } from './rules.ts';
import type { AlertArgs, AlertFacts, AlertLimits, Notice } from './types.ts';

/** One condition under observation. Times are monotonic ms, `sinceMs` and `sentMs` wall clock. */
export type ActiveAlert = {
  readonly name: string;
  readonly subject: string;
  readonly args: AlertArgs;
  readonly since: number;
  readonly sinceMs: number;
  readonly seenAt: number;
  readonly firing: boolean;
  /** 0 = no node's message is known of. */
  readonly sentMs: number;
};

/** Alerts by key. */
export type AlertState = { readonly active: ReadonlyMap<string, ActiveAlert>; readonly sends: boolean };

/** What a restart needs to know: alerts that fire and were sent. */
export type SavedAlert = Pick<ActiveAlert, 'name' | 'subject' | 'args' | 'sinceMs' | 'sentMs'>;

const CLEAR_MS = 10_000;
const TAKEOVER_MS = 60_000;

/** The machine at its start; alerts of an earlier process go on as they were. */
export function createAlerts(saved: readonly SavedAlert[], now: { readonly mono: number }): AlertState {
  const active = saved
    .filter((one) => ruleOf(one.name) !== undefined)
    .map((one): [string, ActiveAlert] => [keyOf(one), { ...one, since: now.mono, seenAt: now.mono, firing: true }]);
  return { active: new Map(active), sends: true };
}

/** One look at the facts. */
export function stepAlerts(
  state: AlertState,
  facts: AlertFacts,
  limits: AlertLimits,
  now: { readonly mono: number; readonly wall: number },
): { readonly state: AlertState; readonly notices: readonly Notice[] } {
  const sends = senderOf(facts) === facts.asked;
  const active = new Map<string, ActiveAlert>();
  const notices: Notice[] = [];
  const tell = (alert: ActiveAlert, end: 'firing' | 'resolved'): void => {
    const notice = noticeOf(alert, end, facts, now.wall);
    if (notice !== null && !limits.off.includes(alert.name)) notices.push(notice);
  };
  for (const found of conditionsOf(facts, limits)) {
    const before = state.active.get(keyOf(found));
    const alert = before ?? { ...found, since: now.mono, sinceMs: now.wall, seenAt: now.mono, firing: false, sentMs: 0 };
    active.set(keyOf(found), { ...alert, args: found.args, seenAt: now.mono });
  }
  for (const [key, alert] of state.active) {
    if (active.has(key)) continue;
    if (now.mono - alert.seenAt < CLEAR_MS) active.set(key, alert);
    else if (alert.firing && alert.sentMs > 0 && isMine(alert.name, sends)) tell(alert, 'resolved');
  }
  for (const [key, alert] of active) {
    const forMs = ruleOf(alert.name)?.forMs(limits) ?? 0;
    const firing = alert.firing || (alert.seenAt === now.mono && now.mono - alert.since >= forMs);
    const next = { ...alert, firing, sentMs: firing ? sentMsOf(alert, firing) : 0 };
    active.set(key, next);
  }
  return { state: { active, sends }, notices };

  function sentMsOf(alert: ActiveAlert, firing: boolean): number {
    if (!firing) return 0;
    if (!isMine(alert.name, sends)) return alert.sentMs;
    const due = alert.sentMs === 0 || (limits.repeatMs > 0 && now.wall - alert.sentMs >= limits.repeatMs);
    if (!due) return alert.sentMs;
    const told = alert.sentMs === 0 && alert.firing && !state.sends && now.mono - alert.since > TAKEOVER_MS;
    if (!told) tell(alert, 'firing');
    return now.wall;
  }
}

/** Who sends what concerns the cluster: the active, or without one the living member with the lowest id; '' = nobody lives. */
export function senderOf(facts: Pick<AlertFacts, 'holder' | 'nodes'>): string {
  const alive = facts.nodes.filter((n) => n.state === 'alive' || n.state === 'self').map((n) => n.node);
  return alive.includes(facts.holder) ? facts.holder : (alive.sort()[0] ?? '');
}

/** What must outlive this process. */
export function savedOf(state: AlertState): readonly SavedAlert[] {
  return [...state.active.values()]
    .filter((alert) => alert.firing && alert.sentMs > 0)
    .map(({ name, subject, args, sinceMs, sentMs }) => ({ name, subject, args, sinceMs, sentMs }));
}

function isMine(name: string, sends: boolean): boolean {
  return sends || ruleOf(name)?.scope === 'node';
}

function keyOf(one: { readonly name: string; readonly subject: string }): string {
  return `${one.name}/${one.subject}`;
}

function noticeOf(alert: ActiveAlert, state: 'firing' | 'resolved', facts: AlertFacts, wallMs: number): Notice | null {
  const rule = ruleOf(alert.name);
  if (rule === undefined) return null;
  const { name, subject, args, sinceMs } = alert;
  const key = `${facts.cluster}/${name}/${subject}`;
  return {
    k: 'alert',
    key,
    cluster: facts.cluster,
    node: facts.asked,
    name,
    subject,
    severity: rule.severity,
    state,
    args,
    sinceMs,
    atMs: wallMs,
  };
}
