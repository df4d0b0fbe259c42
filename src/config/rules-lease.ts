// Relations inside the lease's timing, and between the lease and what ends the address. Each rule is an arithmetic condition of the
// safety argument: a value that breaks one makes either a false failover or two active nodes possible.
import { lifetimeTtlLeastMs, lockDelayLeastMs } from '../core/vip/enforcer.ts';
import { problemAt, type Rule } from './rule.ts';

/** The rules of the lease. */
export const leaseRules: readonly Rule[] = [
  {
    // Two full attempts to renew must fit before half of the lease is gone.
    needs: ['lease.preset', 'lease.ttlMs', 'lease.renewMs', 'redis.commandTimeoutMs'],
    check: ({ lease, redis }) => {
      const spent = lease.renewMs + redis.commandTimeoutMs;
      if (spent <= lease.ttlMs / 2) return [];
      const message = `renewMs + redis.commandTimeoutMs = ${spent} is more than half of ttlMs (${lease.ttlMs / 2}): two attempts to renew do not fit`;
      const most = Math.floor(lease.ttlMs / 2) - lease.renewMs;
      const smaller = most >= 10 ? `redis.commandTimeoutMs to at most ${most}` : 'renewMs lower';
      return [problemAt('lease.renewMs', message, `set ${smaller}, or ttlMs to at least ${2 * spent}; a preset fits by itself`)];
    },
  },
  {
    needs: ['lease.preset', 'lease.ttlMs', 'lease.renewMs'],
    check: ({ lease }) => {
      const least = 3 * lease.renewMs + 150;
      if (lease.ttlMs >= least) return [];
      const message = `ttlMs ${lease.ttlMs} is less than 3 x renewMs + 150 = ${least}: one lost renewal would end the lease`;
      const renewMs = Math.floor((lease.ttlMs - 150) / 3);
      return [problemAt('lease.ttlMs', message, `set renewMs to at most ${renewMs}, or ttlMs to at least ${least}`)];
    },
  },
  {
    needs: ['lease.preset', 'lease.ttlMs', 'lease.claimTimeoutMs'],
    check: ({ lease }) => {
      if (lease.claimTimeoutMs < lease.ttlMs) return [];
      const message = `claimTimeoutMs ${lease.claimTimeoutMs} is not below ttlMs ${lease.ttlMs}: a claim could succeed with no validity left`;
      return [problemAt('lease.claimTimeoutMs', message, `leave it out for 250, or set it below ${lease.ttlMs}`)];
    },
  },
  {
    needs: ['lease.preset', 'lease.ttlMs', 'lease.renewMs', 'lease.guardMs', 'redis.commandTimeoutMs'],
    check: ({ lease, redis }) => {
      const room = lease.ttlMs - lease.renewMs - redis.commandTimeoutMs;
      // Without that room the rule on renewMs already speaks.
      if (lease.guardMs < room || room < lease.ttlMs / 2) return [];
      const message = `guardMs ${lease.guardMs} leaves no time to act: ttlMs - renewMs - redis.commandTimeoutMs is ${room}`;
      return [problemAt('lease.guardMs', message, 'leave it out for 50')];
    },
  },
  {
    needs: ['lease.backoffMs'],
    check: ({ lease }) => {
      const [least, most] = lease.backoffMs;
      if (least <= most) return [];
      return [
        problemAt(
          'lease.backoffMs',
          `the least wait ${least} is longer than the longest ${most}`,
          'write it as [least, longest], such as [30, 400]',
        ),
      ];
    },
  },
  {
    needs: ['lease.preset', 'vip.fence', 'vip.driver'],
    check: ({ lease, vip }) => {
      if (lease.preset !== 'ultra' || vip === null || vip.driver === 'none' || vip.fence === 'required') return [];
      const message = 'preset ultra needs the kernel fence: nothing else ends the address within a lease of half a second';
      return [problemAt('vip.fence', message, 'set vip.fence: required, or lease.preset: standard')];
    },
  },
  {
    // The kernel's own address lifetime counts whole seconds and is late by up to 1.65 s.
    needs: ['lease.preset', 'lease.ttlMs', 'vip.fence', 'vip.driver'],
    check: ({ lease, vip }) => {
      if (vip?.driver !== 'address' || vip.fence === 'required' || lease.ttlMs >= lifetimeTtlLeastMs || lease.preset === 'ultra') return [];
      const message = `driver address without a required fence needs ttlMs of at least ${lifetimeTtlLeastMs} (now ${lease.ttlMs}): the address's own lifetime is too coarse`;
      return [problemAt('vip.driver', message, 'set vip.fence: required, or lease.preset: standard, or driver: keepalived')];
    },
  },
  {
    needs: ['lease.lockDelayMs', 'vip.fence', 'vip.driver'],
    check: ({ lease, vip }) => {
      if (vip === null || vip.driver === 'none' || vip.fence === 'required') return [];
      const least = lockDelayLeastMs[vip.driver === 'address' ? 'valid_lft' : 'script'];
      if (lease.lockDelayMs >= least) return [];
      const message = `lockDelayMs ${lease.lockDelayMs} is too short with vip.fence: ${vip.fence}: the address may outlast the lease by ${least} ms`;
      return [problemAt('lease.lockDelayMs', message, `leave it out, set it to at least ${least}, or set vip.fence: required`)];
    },
  },
];
