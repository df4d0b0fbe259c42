// Who should be heir: the same order on every node, from what every node says of itself. A hint: it orders and delays bids, never decides.
import type { Member, NodeView } from './membership/types.ts';
import type { NodeId } from './types.ts';

/** What the order of heirs looks at. */
export type HeirView = Pick<
  NodeView,
  'candidate' | 'vetoes' | 'youngMs' | 'unfit' | 'backoffMs' | 'hot' | 'bytesBehind' | 'priority' | 'load'
>;

/** One node in the order of heirs. */
export type Candidate = { readonly node: NodeId; readonly view: HeirView };

/** Facts about this node from which its vetoes follow. */
export type Fitness = {
  readonly candidate: boolean;
  readonly nofailover: boolean;
  readonly draining: boolean;
  /** It left the cluster, or is about to. */
  readonly left: boolean;
  /** Who paused, in words; '' = not paused. */
  readonly paused: string;
  /** The node's maintenance in words; '' = it is in none. */
  readonly maintenance: string;
  readonly inRoster: boolean;
  readonly ollama: NodeView['ollama'];
  readonly ollamaReason: string;
  readonly requiredMissing: readonly string[];
  readonly fence: NodeView['fence'];
  readonly fenceRequired: boolean;
  /** This node may carry the address. */
  readonly vip: boolean;
};

/** Every reason why this node may not take over, the gravest first. Empty = it may. One line each, made for an operator. */
export function vetoesOf(f: Fitness): string[] {
  const vetoes: string[] = [];
  if (!f.candidate) vetoes.push('witness: no ollama section');
  if (f.left) vetoes.push('left the cluster; a start of its agent joins again');
  else if (!f.inRoster) vetoes.push('not in the roster of the lease');
  if (f.paused !== '') vetoes.push(f.paused);
  if (f.maintenance !== '') vetoes.push(f.maintenance);
  if (f.nofailover) vetoes.push('nofailover is set');
  if (f.draining) vetoes.push('draining');
  if (f.candidate && f.ollama !== 'up' && f.ollama !== 'degraded') vetoes.push(`ollama ${f.ollama}: ${f.ollamaReason}`);
  if (f.requiredMissing.length > 0) vetoes.push(`required models missing: ${f.requiredMissing.join(', ')}`);
  if (f.fenceRequired && f.fence !== 'nft') vetoes.push('the kernel fence is not proven');
  else if (f.vip && f.fence === 'none')
    vetoes.push('nothing here would end the address: neither the kernel fence nor the script of keepalived');
  return vetoes;
}

/** Order of heirs: fit, hot, with the least left to copy, then priority, then load, then id. Eligible before the rest, and before those that keep losing the role. */
function compareHeirs(a: Candidate, b: Candidate): number {
  const eligible = (c: Candidate) => (c.view.vetoes.length === 0 ? 0 : 1);
  return (
    eligible(a) - eligible(b) ||
    Number(a.view.youngMs > 0) - Number(b.view.youngMs > 0) ||
    Number(a.view.unfit) - Number(b.view.unfit) ||
    Number(a.view.backoffMs > 0) - Number(b.view.backoffMs > 0) ||
    b.view.hot - a.view.hot ||
    a.view.bytesBehind - b.view.bytesBehind ||
    b.view.priority - a.view.priority ||
    a.view.load - b.view.load ||
    (a.node < b.node ? -1 : 1)
  );
}

/** The living candidates other than the holder, best first. `self` is part of it while this node is a candidate. */
export function heirs(self: Candidate, members: readonly Member[], holder: NodeId | ''): Candidate[] {
  const all: Candidate[] = [self];
  for (const { node, state, frame } of members)
    if (state === 'alive' && frame !== null && !frame.leaving) all.push({ node, view: frame.view });
  return all.filter((c) => c.view.candidate && c.node !== holder).sort(compareHeirs);
}

/** How many of the living candidates other than the holder come before `self` in the order of heirs, and how many there are without it. */
export function placeOf(
  self: Candidate,
  members: readonly Member[],
  holder: NodeId | '',
): { readonly ahead: number; readonly all: number } {
  let ahead = 0;
  let all = 0;
  for (const m of members) {
    if (m.state !== 'alive' || m.frame === null || m.frame.leaving || !m.frame.view.candidate || m.node === holder) continue;
    all += 1;
    if (compareHeirs({ node: m.node, view: m.frame.view }, self) < 0) ahead += 1;
  }
  return { ahead, all };
}

/** The best node that may take over from this one now, or null: then nothing is better than staying. */
export function bestHeir(self: Candidate, members: readonly Member[]): NodeId | null {
  const best = heirs(self, members, self.node)[0];
  return best !== undefined && best.view.vetoes.length === 0 && best.view.youngMs === 0 ? best.node : null;
}

/** The best node that may take over from one that still serves: it must be free of such trouble itself (H3). */
export function fitterHeir(self: Candidate, members: readonly Member[]): NodeId | null {
  const best = heirs(self, members, self.node)[0];
  const may = best !== undefined && best.view.vetoes.length === 0 && best.view.youngMs === 0 && !best.view.unfit;
  return may ? best.node : null;
}
