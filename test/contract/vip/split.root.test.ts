// Two machines that answer for one address, on a real bridge, as a standby sees them.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statusOf } from '../../../src/agent/status.ts';
import type { CoreConfig } from '../../../src/core/config.ts';
import { createCore, step } from '../../../src/core/step.ts';
import { type ArpWatch, type WireFact, watchArp } from '../../../src/drivers/arp/watch.ts';
import { standard } from '../../core/lease/kit.ts';
import { VIP } from './stage.ts';

const ID = `ohl-split-${process.pid}`;
const HOSTS = ['a', 'b', 'w'] as const;
const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const inside = (host: string, ...argv: string[]) =>
  execFileSync('ip', ['netns', 'exec', `${ID}-${host}`, ...argv], { encoding: 'utf8' }).trim();
let dir: string;
let arp: ArpWatch | null = null;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ollama-ha-split-'));
  ip('netns', 'add', `${ID}-s`);
  ip('-n', `${ID}-s`, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', `${ID}-s`, 'link', 'set', 'br0', 'up');
  for (const [at, host] of HOSTS.entries()) {
    ip('netns', 'add', `${ID}-${host}`);
    ip('-n', `${ID}-${host}`, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `p-${host}`, 'netns', `${ID}-s`);
    ip('-n', `${ID}-s`, 'link', 'set', `p-${host}`, 'master', 'br0', 'up');
    ip('-n', `${ID}-${host}`, 'link', 'set', 'eth0', 'up');
    ip('-n', `${ID}-${host}`, 'address', 'add', `10.77.0.${at + 1}/24`, 'dev', 'eth0');
  }
});
afterAll(() => {
  arp?.close();
  for (const host of [...HOSTS, 's']) ip('netns', 'del', `${ID}-${host}`);
  rmSync(dir, { recursive: true });
});

test('a standby that sees two MACs answer raises the alarm, in its log and in status', async () => {
  const program = join(dir, 'arping');
  writeFileSync(program, `#!/bin/sh\nexec ip netns exec ${ID}-w arping "$@"\n`);
  chmodSync(program, 0o755);
  for (const host of ['a', 'b']) inside(host, 'ip', 'address', 'add', `${VIP}/24`, 'dev', 'eth0');
  const macs = ['a', 'b'].map((host) => inside(host, 'cat', '/sys/class/net/eth0/address'));
  const fact = await new Promise<WireFact>((resolve) => {
    arp = watchArp({ address: VIP, interface: 'eth0', program, sink: (seen) => seen.macs.length > 0 && resolve(seen) });
    arp.active(true);
  });
  expect([...fact.macs].sort()).toEqual([...macs].sort());

  const now = { mono: 1000, boot: 1000, wall: 1_700_000_000_000 };
  const turn = step(createCore(config, now), fact, now);
  expect(turn.effects).toContainEqual(expect.objectContaining({ k: 'log', level: 'error', event: 'split_brain_suspected' }));
  const shown = statusOf({
    state: turn.state,
    now,
    turnAt: 1000,
    reason: '',
    preset: 'standard',
    vip: `${VIP}/24`,
    redis: [],
    vipProblem: '',
    keepalived: null,
    loopLateP99Ms: null,
    version: 'test',
  });
  expect(shown.splitBrain).toBe(true);
  expect(shown.warnings.join('\n')).toContain('split brain suspected');
  for (const mac of macs) expect(shown.warnings.join('\n')).toContain(mac);
});

const config: CoreConfig = {
  self: { node: 'w', boot: 1 },
  cluster: 'lab',
  address: 'w:11440',
  version: 'test',
  candidate: true,
  priority: 0,
  nofailover: false,
  roster: ['w'],
  peers: [],
  lease: standard,
  health: null,
  heartbeatMs: 200,
  stallMs: 100,
  vip: 'fence-required',
  replication: { include: [], exclude: [], required: [] },
  seed: 1,
  epochOnDisk: 0,
};
