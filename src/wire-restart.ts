// The end of an agent that another one replaces at once (SIGHUP; `systemctl reload`): an upgrade or a new configuration costs no failover.
//
// A holder hands its lease on if the next process can be up well within its validity, else it gives the role away first. Either way the
// managed Redis goes on, and a standby just ends: its peers hear the next process before they would suspect anything.
import type { Loop } from './agent/loop.ts';
import type { VipPort } from './agent/ports.ts';
import { redisServersOf } from './config/derive.ts';
import type { Config } from './config/schema.ts';
import { handOnOf } from './core/lease/handon.ts';
import type { Now } from './core/types.ts';
import { writeHandOn } from './drivers/state/handon.ts';
import type { AgentLog } from './log.ts';

// Beside the start itself: the end of this process, the stop hook, the delay of the service manager, the first round to Redis.
const AROUND_START_MS = 400;
// The next start may be slower than this one was.
const SLOWER = 1.25;

/** What the old and the new process must agree on; contenders wait by what the record announced, and trust is kept by server. */
export function handOnKeyOf(config: Config): string {
  const { ttlMs, guardMs, lockDelayMs } = config.lease;
  return JSON.stringify([config.cluster.name, config.node.id, ttlMs, guardMs, lockDelayMs, redisServersOf(config).map((s) => s.name)]);
}

/** Whether a lease of this length outlives a restart; `startMs` is how long the own start took. */
function survivesRestart(lease: { readonly ttlMs: number; readonly guardMs: number }, startMs: number): boolean {
  return lease.ttlMs - lease.guardMs >= SLOWER * startMs + AROUND_START_MS;
}

/** Ends what acts here, in the order that is safe. A role that cannot be handed on is given away first. */
export async function endForRestart(o: {
  readonly loop: Loop;
  readonly vip: VipPort;
  readonly config: Config;
  readonly key: string;
  /** The next process will agree on that key. */
  readonly same: boolean;
  readonly startMs: number;
  readonly clock: () => Now;
  readonly giveAway: () => Promise<void>;
  readonly log: AgentLog;
}): Promise<void> {
  const { loop, config, log } = o;
  const { tag } = loop.view().state.lease.phase;
  if (tag === 'follower') {
    loop.end();
    log('info', 'restarting', 'not the holder: the next process starts as a standby', {});
    return;
  }
  if (tag === 'active' && o.same && survivesRestart(config.lease, o.startMs)) {
    const { outcome, text, vetoes } = await loop.command({ k: 'handOn' });
    const given = outcome === 'done' ? handOnOf(loop.view().state.lease, Number.NEGATIVE_INFINITY, o.clock()) : null;
    if (given !== null) {
      // No turn after this one, and no write of the address after that: what stands in the file must stay true.
      loop.end();
      await o.vip.close();
      writeHandOn(config.paths.run, o.key, config.lease.ttlMs / 2, given);
      log('info', 'handed_on', `epoch ${given.epoch} is left to the next process`, {
        epoch: given.epoch,
        leftMs: Math.round(given.validUntil - o.clock().mono),
      });
      return;
    }
    log('warn', 'not_handed_on', `the role is given away first: ${[text, ...vetoes].join(': ')}`, {});
  } else {
    const why = o.same
      ? 'a lease of this length may not outlive the restart'
      : 'the timing or the Redis servers in the configuration have changed';
    log('info', 'not_handed_on', `the role is given away first: ${why}`, {
      ttlMs: config.lease.ttlMs,
      startMs: Math.round(o.startMs),
    });
  }
  await o.giveAway();
  loop.end();
}
