// The settings record in the composed core: changed here, spread by gossip, confirmed by the heartbeats of the others.
import { membersOf } from './membership/machine.ts';
import type { Frame } from './membership/types.ts';
import { changed, hashOf, merge } from './settings/record.ts';
import type { Maintenance, Settings, SettingsChange } from './settings/types.ts';
import { type CoreState, type Draft, log } from './state.ts';
import type { NodeId } from './types.ts';

/** Makes a change: at once here, and on its way to everybody. */
export function changeSettings(d: Draft, change: SettingsChange): void {
  d.settings = changed(d.settings, change);
  d.ownChange = { version: d.settings.version, change };
  d.effects.push({ k: 'persistSettings', settings: d.settings, publish: true });
  for (const m of membersOf(d.membership))
    if (m.linked && m.state !== 'left') d.effects.push({ k: 'send', to: m.node, msg: { k: 'settings', settings: d.settings } });
  noteChange(d);
}

/** Takes a record that a peer or Redis holds. */
export function takeSettings(d: Draft, incoming: Settings): void {
  const before = d.settings;
  d.settings = merge(before, incoming);
  if (d.settings === before) return;
  d.effects.push({ k: 'persistSettings', settings: d.settings, publish: false });
  noteChange(d);
  // Two changes in the same moment at two nodes: the other one won, so ours is made again on top of it.
  if (d.ownChange !== null && d.ownChange.version === before.version && incoming.version === before.version)
    changeSettings(d, d.ownChange.change);
}

/** Sends our record to a peer whose heartbeat names an older one. */
export function tellSettings(d: Draft, to: NodeId, frame: Frame): void {
  if (olderThan(frame, d.settings)) d.effects.push({ k: 'send', to, msg: { k: 'settings', settings: d.settings } });
}

function olderThan(frame: Frame, mine: Settings): boolean {
  if (frame.settingsVersion !== mine.version) return frame.settingsVersion < mine.version;
  return frame.settingsHash < hashOf(mine);
}

/** Living nodes that have not confirmed the record this node holds. */
export function unconfirmed(s: CoreState): NodeId[] {
  return membersOf(s.membership)
    .filter((m) => (m.state === 'alive' || m.state === 'suspect') && (m.frame === null || olderThan(m.frame, s.settings)))
    .map((m) => m.node)
    .sort();
}

/** The maintenance of a node, if it is in one. */
export function maintenanceOf(s: Pick<CoreState, 'settings'>, node: NodeId): Maintenance | undefined {
  return s.settings.maintenance.find((m) => m.node === node);
}

/** Who paused, in words; '' = not paused. */
export function pausedText(s: Pick<CoreState, 'settings'>): string {
  const { paused, pausedBy } = s.settings;
  return paused ? `paused by ${pausedBy === '' ? 'an operator' : pausedBy}` : '';
}

/** A node's maintenance in words. */
export function maintenanceText(m: Maintenance): string {
  return `maintenance${m.by === '' ? '' : ` by ${m.by}`}`;
}

function noteChange(d: Draft): void {
  const { version, maintenance, schedule } = d.settings;
  const parts = [
    pausedText(d) || 'not paused',
    maintenance.length === 0 ? 'no node in maintenance' : `in maintenance: ${maintenance.map((m) => m.node).join(', ')}`,
    schedule === null ? 'no switchover planned' : `switchover planned${schedule.to === '' ? '' : ` to ${schedule.to}`}`,
  ];
  log(d, 'info', 'settings_changed', `settings ${version}: ${parts.join('; ')}`, { version });
}
