// What would end the address here if this agent stopped: proven, not assumed, and reported to the core whenever it changes.
import { DONE, type VipLimits, type VipParts } from './vip-ports.ts';

/** What enforces the end of the address; 'none' makes a node that needs a fence ineligible. */
export type FenceKind = 'nft' | 'script' | 'none';

/** The standing proof. */
export type Proof = {
  kind(): FenceKind;
  /** Why the fence is not proven; '' = it is. */
  problem(): string;
  /** Not held: proves anew, repairs what can be repaired, reports a change. */
  refresh(): Promise<void>;
  /** Held: looks without touching; the text says what is lost. */
  recheck(): Promise<string | null>;
  /** A claim failed here: reports none, and lets some time pass before the next proof. */
  lost(why: string): void;
  /** A claim succeeded: the next failure waits briefly again. */
  succeeded(): void;
};

/** Creates the proof; nothing is reported before the first `refresh`. */
export function createProof(parts: VipParts, limits: VipLimits): Proof {
  let kind: FenceKind | null = null;
  let problem = 'not proven yet';
  let notBefore = Number.NEGATIVE_INFINITY;
  let failures = 0;

  function report(next: FenceKind, why: string): void {
    problem = why;
    if (next === kind) return;
    kind = next;
    parts.log(
      next === 'none' ? 'warn' : 'info',
      'vip.fence',
      next === 'none' ? `no fence: ${why || 'none is configured'}` : `fence proven: ${next}`,
    );
    parts.sink({ k: 'fence', kind: next });
  }

  return {
    kind: () => kind ?? 'none',
    problem: () => problem,
    async refresh() {
      if (parts.now() < notBefore) return;
      // A fence without an actuator is no reason to take the lease: the address would not appear.
      const ready = parts.keepalived?.ready() ?? DONE;
      if (!ready.ok) return report('none', ready.why);
      const fence = await parts.fence?.prove();
      if (fence?.ok) return report('nft', '');
      const script = parts.keepalived?.script();
      const why = [fence, script].flatMap((outcome) => (outcome === undefined || outcome.ok ? [] : [outcome.why])).join('; ');
      report(script?.ok ? 'script' : 'none', why);
    },
    async recheck() {
      if (kind === 'none' || kind === null) return null;
      const outcome = await (kind === 'nft' ? parts.fence?.check() : parts.keepalived?.script());
      return outcome === undefined || outcome.ok ? null : outcome.why;
    },
    lost(why) {
      notBefore = parts.now() + Math.min(limits.cooldownMs * 2 ** failures, limits.cooldownMaxMs);
      failures += 1;
      kind = null;
      report('none', why);
    },
    succeeded() {
      failures = 0;
    },
  };
}
