// What would end the address here if this agent stopped: proven, not assumed, and reported to the core whenever it changes.
import type { Enforcer } from '../core/types.ts';
import { DONE, type Outcome, type VipLimits, type VipParts } from './vip-ports.ts';

/** The standing proof; the strongest enforcer that works here counts. */
export type Proof = {
  kind(): Enforcer;
  /** Why nothing stronger is proven; '' = the fence is. */
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

/** A keepalived that is away this long is no restart any more; until then the script it runs still counts, ms. */
const AWAY_MS = 1000;

/** Creates the proof; nothing is reported before the first `refresh`. */
export function createProof(parts: VipParts, limits: VipLimits): Proof {
  let kind: Enforcer | null = null;
  let problem = 'not proven yet';
  let notBefore = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let limitable = false;
  let awaySince: number | null = null;

  function report(next: Enforcer, why: string): void {
    problem = why;
    if (next === kind) return;
    kind = next;
    if (next === 'none') parts.log('warn', 'vip.fence', `no fence: ${why || 'none is configured'}`);
    else if (next === 'nft') parts.log('info', 'vip.fence', 'fence proven: nft');
    else parts.log('warn', 'vip.fence', `proven: ${next} only, claimers wait longer: ${why || 'the kernel fence is off'}`);
    parts.sink({ k: 'fence', kind: next });
  }

  /** Proven once for as long as it works: every use reports its own failure. */
  async function lifetime(): Promise<Outcome | null> {
    if (!parts.lifetimes || parts.link === null) return null;
    if (limitable) return DONE;
    const proven = await parts.link.canLimit();
    limitable = proven.ok;
    return proven;
  }

  /** Present each second, or nothing ends the address: keepalived itself says nothing of a script that is gone. */
  function scriptOutcome(): string | null {
    const script = parts.keepalived?.script() ?? DONE;
    if (!script.ok) return script.why;
    const ready = parts.keepalived?.ready() ?? DONE;
    awaySince = ready.ok ? null : (awaySince ?? parts.now());
    return !ready.ok && awaySince !== null && parts.now() - awaySince > AWAY_MS ? ready.why : null;
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
      // Below a required fence nothing counts; what else works is told all the same.
      const limited = await lifetime();
      if (limited?.ok) return report('valid_lft', whyOf([fence]));
      const script = parts.keepalived?.script();
      report(script?.ok ? 'script' : 'none', whyOf([fence, limited, script]));
    },
    async recheck() {
      if (kind === 'nft') {
        const checked = await parts.fence?.check();
        return checked === undefined || checked.ok ? null : checked.why;
      }
      return kind === 'script' ? scriptOutcome() : null;
    },
    lost(why) {
      notBefore = parts.now() + Math.min(limits.cooldownMs * 2 ** failures, limits.cooldownMaxMs);
      failures += 1;
      kind = null;
      limitable = false;
      awaySince = null;
      report('none', why);
    },
    succeeded() {
      failures = 0;
    },
  };
}

function whyOf(outcomes: readonly (Outcome | null | undefined)[]): string {
  return outcomes.flatMap((outcome) => (outcome == null || outcome.ok ? [] : [outcome.why])).join('; ');
}
