// The planned switchover: carried out by whoever is the holder when its time comes, by that node's wall clock.
//
// What stands in its way then (no heir, a pause) may go away; after a minute it is too late, and everybody who still holds the plan records
// the miss. The plan is taken out of the settings in the same turn that gives the role up; should the next holder not know that yet, it does
// not move the role on: a holder that came after the planned time has nothing left to do.
import { chooseHeir } from './commands.ts';
import type { LeaseInput } from './lease/types.ts';
import type { Schedule } from './settings/types.ts';
import { type Draft, log } from './state.ts';
import { changeSettings, pausedText } from './steer.ts';
import type { Now } from './types.ts';

// A move that an operator planned for a quiet moment must not come at another one.
const LATE_MS_MAX = 60_000;

/** The order to give the role up, when the planned moment has come. */
export function runSchedule(d: Draft, now: Now): Extract<LeaseInput, { k: 'yield' }> | null {
  const plan = d.settings.schedule;
  if (plan === null || now.wall < plan.atMs) return null;
  const mine = d.lease.phase.tag === 'active' && !d.lease.phase.lapsed;
  if (now.wall - plan.atMs > LATE_MS_MAX) {
    recordMiss(d, plan, now);
    if (mine) changeSettings(d, { k: 'unschedule' });
    return null;
  }
  if (!mine || !d.leaseDesired.acting) return null;
  if (plan.to === d.config.self.node || (plan.to === '' && d.claimed !== null && d.claimed.wall >= plan.atMs)) {
    log(d, 'info', 'schedule_done', 'the planned switchover has nothing left to do', { by: plan.by });
    changeSettings(d, { k: 'unschedule' });
    return null;
  }
  const heir = d.settings.paused ? { vetoes: [pausedText(d)] } : chooseHeir(d, plan.to, now);
  if ('vetoes' in heir) {
    d.scheduleWhy = heir.vetoes[0] ?? '';
    return null;
  }
  changeSettings(d, { k: 'unschedule' });
  d.lastYield = { heir: heir.node, cause: 'planned', by: plan.by };
  log(d, 'info', 'schedule_runs', `the planned switchover to ${heir.node} begins`, { heir: heir.node, by: plan.by });
  return { k: 'yield', heir: heir.node, cause: 'planned' };
}

function recordMiss(d: Draft, plan: Schedule, now: Now): void {
  if (d.missed === plan.id) return;
  d.missed = plan.id;
  const { node, epoch } = d.holder;
  const why = d.scheduleWhy === '' ? 'no holder could carry it out in time' : d.scheduleWhy;
  const reason = `the planned switchover${plan.to === '' ? '' : ` to ${plan.to}`} was not carried out: ${why}`;
  d.scheduleWhy = '';
  log(d, 'error', 'schedule_missed', reason, { by: plan.by });
  const entry = { epoch, from: node, to: node, cause: 'missed', reason, by: plan.by, atMs: now.wall, phasesMs: {} };
  d.effects.push({ k: 'history', entry, publish: false });
}
