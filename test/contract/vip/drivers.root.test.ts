// The single drivers against the kernel: nft, ss, arping, keepalived's own checker.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { checkKeepalived } from '../../../src/cli/keepalived-check.ts';
import { type WireFact, watchArp } from '../../../src/drivers/arp/watch.ts';
import { openKeepalived } from '../../../src/drivers/keepalived/keepalived.ts';
import { expiriesMs, type Fence, openFence } from '../../../src/drivers/nft/fence.ts';
import { canKillSockets } from '../../../src/drivers/sockets/sockets.ts';
import { monoMs, openStage, type Stage, VIP } from './stage.ts';

let stage: Stage;
const fences: Fence[] = [];
beforeAll(() => {
  stage = openStage('d');
});
afterEach(async () => {
  for (const fence of fences.splice(0)) await fence.end();
  await stage.reset();
});
afterAll(() => stage.end());

/** A program of the stage's namespace under a path of its own. */
function inside(namespace: string, program: string): string {
  const path = `${stage.runDir}/${program}-${namespace.slice(-1)}`;
  writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

function fenceOf(vips: readonly string[] = [VIP]): Fence {
  const fence = openFence({ interface: 'eth0', vips, now: monoMs, program: inside(stage.host, 'nft') });
  fences.push(fence);
  return fence;
}

const live = (set = 'live') => stage.inHost('nft', 'list', 'set', 'netdev', 'ollama_ha_fence', set);
const nftPids = () =>
  execFileSync('ip', ['netns', 'pids', stage.host], { encoding: 'utf8' })
    .split('\n')
    .filter((pid) => pid !== '' && existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'nft')
    .map(Number);

test('a proof loads the table where it is missing, opens nothing, and leaves an open fence open', async () => {
  const fence = fenceOf();
  expect(await fence.check()).toEqual({ ok: false, why: 'the nft table ollama_ha_fence is gone' });
  expect(await fence.prove()).toEqual({ ok: true });
  expect(await fence.check()).toEqual({ ok: true });
  expect(live()).not.toContain(VIP);
  expect(await fence.open(monoMs() + 5000)).toEqual({ ok: true });
  expect(await fence.prove()).toEqual({ ok: true });
  expect(live()).toContain(VIP);
});

test('a table for another interface, or without a rule, is no proof and is replaced', async () => {
  const fence = fenceOf();
  await fence.prove();
  stage.inHost('nft', 'flush', 'chain', 'netdev', 'ollama_ha_fence', 'in');
  expect(JSON.stringify(await fence.check())).toContain('no rule');
  expect(await fence.prove()).toEqual({ ok: true });
});

test('the fence never stays open longer than it was opened for, and a second opening replaces the first', async () => {
  const fence = fenceOf();
  await fence.prove();
  for (const forMs of [1950, 800, 300]) {
    const until = monoMs() + forMs;
    expect(await fence.open(until)).toEqual({ ok: true });
    const [remaining = 0] = expiriesMs(live());
    expect(monoMs() + remaining).toBeLessThan(until + 30);
    expect(remaining).toBeGreaterThan(forMs - 300);
  }
  await delay(320);
  expect(live()).not.toContain('elements');
});

test('a moment that has passed opens nothing', async () => {
  const fence = fenceOf();
  await fence.prove();
  expect(await fence.open(monoMs() - 1)).toMatchObject({ ok: false });
  expect(live()).not.toContain('elements');
});

test('closing without a table loads a closed one, or leaves it, as told', async () => {
  expect(await fenceOf().close()).toEqual({ ok: true });
  expect(live()).not.toContain('elements');
  stage.inHost('nft', 'flush', 'ruleset');
  const lenient = openFence({ interface: 'eth0', vips: [VIP], now: monoMs, program: inside(stage.host, 'nft'), ifMissing: 'ignore' });
  fences.push(lenient);
  expect(await lenient.close()).toEqual({ ok: true });
  expect(stage.inHost('nft', 'list', 'tables')).toBe('');
});

test('IPv4 and IPv6 open and close together, however they are written', async () => {
  const fence = fenceOf([VIP, 'FD00:0::100']);
  expect(await fence.prove()).toEqual({ ok: true });
  expect(await fence.open(monoMs() + 2000)).toEqual({ ok: true });
  expect([live(), live('live6')].every((set) => set.includes('expires'))).toBe(true);
  expect(await fence.close()).toEqual({ ok: true });
  expect([live(), live('live6')].some((set) => set.includes('elements'))).toBe(false);
});

test('a frozen nft is replaced within the call, and its command never comes true later', async () => {
  const fence = fenceOf();
  await fence.prove();
  const [frozen = 0] = nftPids();
  process.kill(frozen, 'SIGSTOP');
  const from = monoMs();
  expect(await fence.open(from + 2000)).toEqual({ ok: true });
  expect(monoMs() - from).toBeLessThan(400);
  await fence.close();
  expect(nftPids()).not.toContain(frozen);
  await delay(50);
  expect(live()).not.toContain('elements');
});

test('an nft that is not there is a failure, not a wait', async () => {
  const fence = openFence({ interface: 'eth0', vips: [VIP], now: monoMs, program: '/nowhere/nft' });
  fences.push(fence);
  expect(JSON.stringify(await fence.prove())).toContain('ENOENT');
});

test('a renewal through the long-lived nft takes milliseconds', async () => {
  const fence = fenceOf();
  await fence.prove();
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    const from = monoMs();
    expect(await fence.open(from + 1950)).toEqual({ ok: true });
    times.push(monoMs() - from);
  }
  expect(times.toSorted((a, b) => a - b)[50]).toBeLessThan(20);
});

test('this kernel resets connections on request', async () => {
  expect(await canKillSockets()).toEqual({ ok: true });
});

test('a standby sees every MAC that answers for the address', async () => {
  const facts: WireFact[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const arp = watchArp({
    address: VIP,
    interface: 'eth0',
    program: inside(stage.client, 'arping'),
    sink: (fact) => {
      facts.push(fact);
      // The first word is only the own MAC.
      if (fact.macs.length > 0) resolve();
    },
  });
  stage.inHost('ip', 'address', 'add', `${VIP}/24`, 'dev', 'eth0');
  arp.active(true);
  await promise;
  arp.close();
  const mac = stage.inHost('cat', '/sys/class/net/eth0/address').trim();
  expect(facts[0]).toMatchObject({ macs: [], own: expect.stringMatching(/^[0-9a-f:]{17}$/) });
  expect(facts.at(-1)?.macs).toEqual([mac]);
});

test('what keepalived says of itself can be read: state, priority, and when it changed', async () => {
  await stage.startKeepalived();
  const keepalived = openKeepalived({ runDir: stage.runDir, script: `${stage.runDir}/libexec/vip-deadline`, now: monoMs, log() {} });
  try {
    await expect.poll(() => keepalived.view(), { timeout: 3000 }).toMatchObject({ alive: true, state: 'FAULT' });
    // Its own first run of the script is behind it, else the instance would wait for that.
    await delay(1100);
    keepalived.files.deadline(monoMs() + 5000);
    keepalived.files.epoch(41);
    const from = monoMs();
    keepalived.files.lease(true);
    await expect.poll(() => keepalived.view(), { timeout: 3000 }).toMatchObject({ alive: true, state: 'MASTER', priority: 44 });
    expect(keepalived.view().at).toBeGreaterThan(from);
    for (const pid of stage.keepalivedPids()) process.kill(pid, 'SIGKILL');
    await expect.poll(() => keepalived.view().alive, { timeout: 3000 }).toBe(false);
  } finally {
    keepalived.close();
  }
});

test('keepalived itself accepts the rendered file, and an operator is told what is wrong with a changed one', async () => {
  const paths = { file: `${stage.runDir}/keepalived.conf`, script: `${stage.runDir}/libexec/vip-deadline`, daemonOptions: '/nowhere' };
  const good = await checkKeepalived(paths);
  expect(good.filter((row) => row.problem !== '')).toEqual([]);

  const bad = `${stage.runDir}/bad.conf`;
  const text = readFileSync(paths.file, 'utf8');
  writeFileSync(
    bad,
    text.replace('weight 0 reverse', 'weight 0').replace('state BACKUP', 'nopreempt\n    state BACKUP').replace('adverts 2', 'adverts 1'),
  );
  chmodSync(bad, 0o755);
  const script = `${stage.runDir}/libexec/always`;
  copyFileSync('/bin/true', script);
  chmodSync(script, 0o755);
  const rows = await checkKeepalived({ ...paths, file: bad, script });
  const problems = rows.filter((row) => row.problem !== '').map((row) => row.what);
  expect(problems).toEqual([
    `${bad} is not executable`,
    'down_timer_adverts of 2 or more',
    'the lease file keeps the node in FAULT',
    'no nopreempt',
    'the dead-man script tells a dead agent from a standby',
  ]);
  expect(execFileSync('ls', ['/tmp'], { encoding: 'utf8' })).not.toContain('ollama-ha-check-');
});
