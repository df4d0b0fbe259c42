// Deletions in the composition: whom this node follows, how well that node was heard, and what the log is told.
import { membersOf } from './membership/machine.ts';
import { acceptDeletions, type DeletionEvent, type DeletionView, stepDeletions } from './replication/deletions.ts';
import { displayName } from './replication/names.ts';
import { isOptional } from './replication/plan.ts';
import type { DeletionPolicy } from './replication/types.ts';
import { type CoreState, type Draft, log } from './state.ts';
import type { NodeId, Now } from './types.ts';

const NEVER: DeletionPolicy = { follow: false, graceMs: 0, maxPerPass: 0 };

/** Follows the active's deletions; orders land in `d.deletions.orders`. */
export function followDeletions(d: Draft, now: Now): void {
  const turn = stepDeletions(d.deletions, viewOf(d), d.config.deletion ?? NEVER, now.mono);
  d.deletions = turn.state;
  for (const event of turn.events) tell(d, event);
}

/** The living nodes that wait for an operator's word on a sudden loss, this one included. */
export function alertedNodes(s: Pick<CoreState, 'deletions' | 'membership' | 'config'>): readonly NodeId[] {
  const self = s.config.self.node;
  const peers = membersOf(s.membership).filter((m) => m.node !== self && m.state === 'alive' && m.frame?.view.deletionAlert === true);
  return [...(s.deletions.alert === null ? [] : [self]), ...peers.map((m) => m.node)].sort();
}

/** An operator takes a sudden loss for real: here, and on every node that hears of it. */
export function acceptLoss(d: Draft, by: string): void {
  const { epoch } = d.holder;
  for (const node of alertedNodes(d)) {
    if (node === d.config.self.node) takeLoss(d, epoch, by);
    else d.effects.push({ k: 'send', to: node, msg: { k: 'acceptDeletes', epoch, by } });
  }
}

/** Word of an operator, given here or elsewhere. It is about the active of one epoch, and says nothing of another (S4). */
export function takeLoss(d: Draft, epoch: number, by: string): void {
  if (d.deletions.alert === null || epoch !== d.holder.epoch) return;
  log(d, 'warn', 'replication_deletes_accepted', `the loss of ${d.deletions.alert.lost} models on the active is accepted by ${by}`, { by });
  d.deletions = acceptDeletions(d.deletions);
}

function viewOf(d: Draft): DeletionView {
  const { node, epoch } = d.holder;
  const store = d.stores.get(node);
  const mayRemove = (path: string) => isOptional(path, d.config.replication);
  if (node === '' || node === d.config.self.node || d.leaseDesired.acting || store === undefined || d.stalled)
    return { source: null, own: d.own, mayRemove };
  const member = membersOf(d.membership).find((m) => m.node === node);
  const healthy =
    member?.state === 'alive' && member.frame?.boot === store.boot && member.frame.view.ollama === 'up' && store.epoch === epoch;
  return { source: { node, boot: store.boot, epoch, inventory: store.inventory, healthy }, own: d.own, mayRemove };
}

function tell(d: Draft, event: DeletionEvent): void {
  switch (event.k) {
    case 'tombstone':
      log(
        d,
        'info',
        'replication_tombstone',
        `${displayName(event.path)} was deleted on the active; it goes here too after the grace time`,
        {
          path: event.path,
        },
      );
      break;
    case 'ordered':
      log(d, 'info', 'replication_delete', `${displayName(event.path)} is removed here, as on the active`, { path: event.path });
      break;
    case 'alert':
      log(d, 'error', 'replication_source_shrank', shrankText(event), { lost: event.lost, of: event.of });
      break;
    case 'recovered':
      log(d, 'info', 'replication_source_recovered', 'the models that the active had lost are back', {});
      break;
  }
}

/** The alert in words, for log and status. */
export function shrankText(alert: { readonly lost: number; readonly of: number }): string {
  return `the active lost ${alert.lost} of ${alert.of} models at once; nothing is deleted here: agentctl replication accept-deletes, if it was meant`;
}
