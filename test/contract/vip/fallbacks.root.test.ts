// Without the kernel fence: what ends the address when the agent stands still, and how late.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { lockDelayLeastMs } from '../../../src/core/vip/enforcer.ts';
import { type Holder, monoMs, openStage, type Stage, VIP, VIP6 } from './stage.ts';

// Preset standard: enforceAt is 1950 ms after the send of a renewal, and a claimer waits for T_obs (2026 ms) and the lockDelay.
const WINDOW_MS = 1950;
const OBSERVED_MS = 2026;

let stage: Stage;
beforeAll(() => {
  stage = openStage('b', [`${VIP}/24`, `${VIP6}/64`]);
});
afterEach(() => stage.reset());
afterAll(() => stage.end());

async function held(fence: 'lifetimes' | 'script', driver: 'keepalived' | 'address' = 'keepalived'): Promise<Holder> {
  if (driver === 'keepalived') await stage.startKeepalived();
  const holder = stage.startHolder(driver, 0, fence);
  await holder.fact('fence', (fact) => fact.kind === (fence === 'lifetimes' ? 'valid_lft' : 'script'));
  holder.order({ k: 'want', want: { on: false, epoch: 0 } });
  await holder.fact('ended');
  holder.order({ k: 'keep', epoch: 5, windowMs: WINDOW_MS, everyMs: 400 });
  await holder.fact('granted');
  // A few renewals, so that the freeze hits an ordinary moment.
  await delay(1000);
  await expect.poll(() => stage.dials(), { timeout: 5000 }).toBe(true);
  return holder;
}

/** Stops the processes and returns how long the address stayed on the interface, ms. */
async function goneAfter(pids: readonly number[]): Promise<number> {
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  const frozen = monoMs();
  try {
    while (stage.present() && monoMs() - frozen < 10_000) await delay(20);
    return monoMs() - frozen;
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}

test('with agent and keepalived frozen the kernel itself removes both addresses before anybody may claim', async () => {
  const holder = await held('lifetimes');
  const ms = await goneAfter([holder.pid, ...stage.keepalivedPids()]);
  console.log(`valid_lft, everything frozen: both addresses gone after ${ms.toFixed(0)} ms`);
  expect(ms).toBeLessThan(OBSERVED_MS + lockDelayLeastMs.valid_lft);
});

test('the agent alone, frozen, leaves no address behind either', async () => {
  const holder = await held('lifetimes', 'address');
  const ms = await goneAfter([holder.pid]);
  console.log(`valid_lft, driver address, agent frozen: both addresses gone after ${ms.toFixed(0)} ms`);
  expect(ms).toBeLessThan(OBSERVED_MS + lockDelayLeastMs.valid_lft);
});

test('with the agent frozen the script alone ends the address within its lockDelay', async () => {
  const holder = await held('script');
  const ms = await goneAfter([holder.pid]);
  console.log(`script, agent frozen: both addresses gone after ${ms.toFixed(0)} ms`);
  expect(ms).toBeLessThan(OBSERVED_MS + lockDelayLeastMs.script);
});

test('renewals keep an address with a lifetime on without a gap', async () => {
  await held('lifetimes');
  const shown = stage.inHost('ip', '-o', 'address', 'show', 'dev', 'eth0');
  expect(shown.match(/valid_lft [12]sec/g)?.length).toBe(2);
  for (let i = 0; i < 100; i++) {
    expect(stage.present()).toBe(true);
    await delay(20);
  }
  expect(stage.keepalivedLog().match(/Entering MASTER STATE/g)?.length).toBe(1);
});

test('a claim that rests on the script ends within two seconds when the script is taken away', async () => {
  const holder = await held('script');
  const from = monoMs();
  stage.inHost('chmod', '0644', `${stage.runDir}/libexec/vip-deadline`);
  const lost = await holder.fact('fence', (fact) => fact.kind === 'none', from);
  stage.inHost('chmod', '0755', `${stage.runDir}/libexec/vip-deadline`);
  expect(lost.at - from).toBeLessThan(2000);
  await expect.poll(() => stage.present()).toBe(false);
});
