// agentctl keepalived install and check: with no keepalived.conf, with ours, and with an operator's own.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkKeepalived } from '../../src/cli/keepalived-check.ts';
import { instanceBlock, plainText, readWhole } from '../../src/cli/keepalived-file.ts';
import { installKeepalived } from '../../src/cli/keepalived-install.ts';
import { fifoOf, type KeepalivedOptions, vipDirOf } from '../../src/core/vip/keepalived-conf.ts';

const options: KeepalivedOptions = {
  node: { id: 'gpu1', address: '10.77.0.1' },
  nodes: [
    { id: 'gpu1', address: '10.77.0.1' },
    { id: 'gpu2', address: '10.77.0.2' },
  ],
  vips: ['10.77.0.100/24', 'fd77::100/64'],
  interface: 'eth0',
  virtualRouterId: 77,
  runDir: '/run/ollama-ha',
  script: '/usr/libexec/ollama-ha/vip-deadline',
  user: 'ollama-ha',
};
const FIFO = '/run/ollama-ha/keepalived.fifo';

// An operator's own instance, by the rules of its own: version 2, nopreempt.
const own = `! web front end
global_defs {
    router_id web1
}
vrrp_instance WEB {
    state BACKUP
    nopreempt
    interface eth1
    virtual_router_id 20
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.1.0.9/24
    }
}
`;

let dir: string;
let main: string;
let part: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ollama-ha-keepalived-'));
  main = join(dir, 'keepalived.conf');
  part = join(dir, 'ollama-ha.conf');
});
afterEach(() => rmSync(dir, { recursive: true }));

/** What check finds wrong, apart from what needs the programs of a host. */
async function problems(): Promise<string[]> {
  const rows = await checkKeepalived(
    { file: main, script: options.script, daemonOptions: '/nowhere', fifo: FIFO, vips: options.vips, stopHook: join(dir, 'hook.conf') },
    () => ['/bin/true', []],
  );
  return rows.filter((row) => row.problem !== '' && !row.what.includes('vip-deadline')).map((row) => `${row.what}: ${row.problem}`);
}

test('on a host without keepalived.conf both files are written, not executable, and checked', async () => {
  expect(installKeepalived(options, dir)).toEqual({ done: [`${part}: written`, `${main}: written, includes it`], todo: [] });
  expect([main, part].map((file) => statSync(file).mode & 0o777)).toEqual([0o644, 0o644]);
  expect(readFileSync(part, 'utf8')).not.toContain('global_defs');
  expect(await problems()).toEqual([]);
  // Once more, after a change of the configuration: both are ours.
  expect(installKeepalived({ ...options, virtualRouterId: 78 }, dir).todo).toEqual([]);
  expect(readFileSync(part, 'utf8')).toContain('virtual_router_id 78');
});

test("an operator's file is never changed: what is to be added is told, and told no longer once it is there", async () => {
  writeFileSync(main, own);
  expect(installKeepalived(options, dir)).toEqual({
    done: [`${part}: written`, `${main}: yours, left as it is`],
    todo: [
      `add to ${main}: include ${part}`,
      'add to its global_defs: enable_script_security',
      `add to its global_defs: vrrp_notify_fifo ${FIFO} ollama-ha ollama-ha`,
      'add to its global_defs: vrrp_notify_priority_changes true',
      'add to its global_defs: vrrp_rt_priority 50',
    ],
  });
  expect(readFileSync(main, 'utf8')).toBe(own);
  expect(await problems()).toEqual([`${main} has the instance OLLAMA_VIP: it does not`]);

  const lines = [
    'enable_script_security',
    `vrrp_notify_fifo ${FIFO} ollama-ha ollama-ha`,
    'vrrp_notify_priority_changes true',
    'vrrp_rt_priority 4',
  ];
  writeFileSync(main, `${own.replace('router_id', `${lines.join('\n')}\nrouter_id`)}include ollama-ha.conf\n`);
  expect(installKeepalived(options, dir).todo).toEqual([]);
  // Its own instance may keep its own rules.
  expect(await problems()).toEqual([]);
});

test('an operator who reads another FIFO keeps it: ours is of the other kind', () => {
  writeFileSync(main, own.replace('router_id', 'vrrp_notify_fifo /run/web.fifo\nrouter_id'));
  expect(installKeepalived(options, dir).todo).toContain(`add to its global_defs: notify_fifo ${FIFO} ollama-ha ollama-ha`);
});

test('a foreign file in the place of ours is left alone', () => {
  writeFileSync(part, 'vrrp_instance X {}\n');
  expect(() => installKeepalived(options, dir)).toThrow('not ours');
  expect(readFileSync(part, 'utf8')).toBe('vrrp_instance X {}\n');
});

test('what has become wrong in the included part is found', async () => {
  installKeepalived(options, dir);
  const text = readFileSync(part, 'utf8');
  writeFileSync(part, text.replace('fd77::100/64 dev', 'fd77::101/64 dev').replace('state BACKUP', 'state BACKUP\n    nopreempt'));
  chmodSync(part, 0o755);
  writeFileSync(join(dir, 'hook.conf'), '# for 10.77.0.100\nExecStopPost=ip address flush to fd77::100 dev eth0\n');
  expect(await problems()).toEqual([
    `${main} is not executable, nor what it includes: ${part} is, and keepalived ignores such a file without an error`,
    'no nopreempt: it is there: the newest lease could not win',
    'every virtual address stands in it: fd77::100/64 does not',
    `the stop hook of the service takes every address off: ${join(dir, 'hook.conf')} does not name 10.77.0.100`,
  ]);
});

test('what deploy/ holds fits what we render: directories, owner, and the hook of the example address', async () => {
  const deployed = (name: string) => new URL(`../../deploy/${name}`, import.meta.url).pathname;
  const tmpfiles = readFileSync(deployed('tmpfiles/ollama-ha.conf'), 'utf8');
  for (const path of [dirname(fifoOf(options.runDir)), vipDirOf(options.runDir)])
    expect(tmpfiles).toMatch(new RegExp(`^d ${path} +0755 ${options.user} ${options.user} -$`, 'm'));
  copyFileSync(deployed('systemd/keepalived.service.d/ollama-ha.conf'), join(dir, 'hook.conf'));
  installKeepalived({ ...options, vips: ['10.77.0.100/24'] }, dir);
  const hook = (await problems()).filter((problem) => problem.includes('stop hook'));
  expect(hook).toEqual([expect.stringContaining('does not name fd77::100')]);
});

test('includes are followed by name and by pattern, relative to the including file, and never for ever', () => {
  mkdirSync(join(dir, 'conf.d'));
  writeFileSync(join(dir, 'conf.d/b.conf'), 'second\n');
  writeFileSync(join(dir, 'conf.d/a.conf'), 'first\n');
  writeFileSync(main, 'include conf.d/*.conf\ninclude nothing.conf\ninclude keepalived.conf\n');
  const whole = readWhole(main);
  expect(whole?.text.match(/first|second/g)?.slice(0, 2)).toEqual(['first', 'second']);
  expect(whole?.missing).toContain(join(dir, 'nothing.conf'));
  expect(whole?.files.length).toBeLessThanOrEqual(64);
  expect(readWhole(join(dir, 'absent'))).toBeNull();
});

test('an instance is cut out with its inner blocks, and no other', () => {
  const plain = plainText('vrrp_instance A { x { y } } # { \nvrrp_instance B { z }\n');
  expect(instanceBlock(plain, 'A')).toBe('vrrp_instance A { x { y } }');
  expect(instanceBlock(plain, 'B')).toBe('vrrp_instance B { z }');
  expect(instanceBlock(plain, 'C')).toBe('');
});
