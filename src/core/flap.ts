// Anti-flap: a node that keeps losing the role stands behind the others for a while. A hint of rank, never a veto: the last healthy node is
// heir whatever its past. Planned moves do not count.
import type { CoreState } from './state.ts';
import type { NodeId, Now } from './types.ts';

const WINDOW_MS = 60_000;
const LOSSES_MIN = 3;
const FIRST_MS = 30_000;
const LONGEST_MS = 600_000;
/** A loss so long ago counts no more, and the back-off begins small again. */
export const MEMORY_MS = 900_000;
const REMEMBERED_MAX = 16;

/**
 * How long a node that lost the role at these moments (monotonic ms, oldest first) stays behind, ms; 0 = not at all. Three losses within a
 * minute begin it, every further one within the memory doubles it.
 */
export function backoffMsOf(losses: readonly number[], now: Pick<Now, 'mono'>): number {
  if (losses.length === 0) return 0;
  let until = Number.NEGATIVE_INFINITY;
  let level = 0;
  let last = Number.NEGATIVE_INFINITY;
  losses.forEach((at, i) => {
    if (at - last > MEMORY_MS) level = 0;
    const close = losses.slice(0, i + 1).filter((other) => other > at - WINDOW_MS).length;
    if (level > 0 || close >= LOSSES_MIN) {
      until = at + Math.min(LONGEST_MS, FIRST_MS * 2 ** level);
      level += 1;
    }
    last = at;
  });
  return Math.max(0, Math.ceil(until - now.mono));
}

/** Takes a loss of the role into account. */
export function withLoss(losses: CoreState['losses'], node: NodeId, at: number): CoreState['losses'] {
  const earlier = (losses.get(node) ?? []).filter((other) => at - other <= MEMORY_MS);
  return new Map(losses).set(node, [...earlier, at].slice(-REMEMBERED_MAX));
}

/** Whether a change of holder for this cause is a failure of the node that had the role. */
export function isFailure(cause: string): boolean {
  return cause !== 'planned' && cause !== 'stop' && cause !== 'first' && cause !== 'missed';
}
