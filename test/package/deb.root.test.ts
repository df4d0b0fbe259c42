// The package in a clean Debian: installed, started as its own user, killed, upgraded, removed and purged. There is no systemd inside: the unit's
// commands are run as the unit says, and systemd-analyze judges the units.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPackage } from '../../deploy/build/package.ts';
import { expand, parseUnit } from '../lab/supervisor/unit.ts';
import { type Host, openHost, type Said } from './host.ts';

const dist = mkdtempSync(join(tmpdir(), 'ollama-ha-deb-'));
const store = '/usr/share/ollama/.ollama/models';
let host: Host;
let deb: string;
let agent: ChildProcess | undefined;
let ollama: ChildProcess | undefined;

beforeAll(async () => {
  [deb, host] = await Promise.all([buildPackage(dist, 'zstd'), openHost()]);
  copyFileSync(deb, join(host.root, 'new.deb'));
}, 600_000);

afterAll(() => {
  ollama?.kill('SIGKILL');
  host?.close();
  rmSync(dist, { recursive: true, force: true });
});

const inside = (path: string) => join(host.root, path);
const mode = (path: string) => (statSync(inside(path)).mode & 0o7777).toString(8);
const done = (said: Said) => expect(said).toMatchObject({ code: 0 });

test('it installs where there is no Node, and without a configuration nothing starts', async () => {
  expect((await host.exec('which', 'node')).code).toBe(1);
  done(await host.exec('dpkg', '-i', '/new.deb'));
  expect((await host.exec('agentctl', 'version')).out).toContain('agentctl 0.');
  expect((await host.exec('ollama-ha-agent', '--version')).out).toContain('agentctl 0.');
  // What `agentctl drill` starts of itself, beside it.
  expect((await host.exec('/usr/lib/ollama-ha/ollama-ha', 'agentctl', 'drill-guard', '50')).out).toBe('ready\nundone\n');
  const refused = await host.exec('ollama-ha-agent', '--config', '/etc/ollama-ha/agent.yaml');
  expect(refused).toMatchObject({ code: 78, out: expect.stringContaining('agentctl init writes one') });
  expect(readFileSync(inside('lib/systemd/system/ollama-ha-agent.service'), 'utf8')).toContain(
    'ConditionPathExists=/etc/ollama-ha/agent.yaml',
  );
});

test('the agent has a user of its own, and its directories belong to whom they should', async () => {
  expect((await host.exec('id', 'ollama-ha')).out).toMatch(/uid=\d+\(ollama-ha\) gid=\d+\(ollama-ha\)/);
  expect((await host.exec('stat', '-c', '%U:%G %a', '/run/ollama-ha/vip', '/var/lib/ollama-ha', '/etc/ollama-ha/pki')).out).toBe(
    'ollama-ha:ollama-ha 755\nollama-ha:ollama-ha 750\nroot:ollama-ha 750\n',
  );
  // keepalived refuses a script below a directory that others may write to.
  expect([mode('usr/libexec/ollama-ha'), mode('usr/libexec/ollama-ha/vip-deadline')]).toEqual(['755', '755']);
});

test('the units are enabled, accepted by systemd, and confined', async () => {
  expect(readlinkSync(inside('etc/systemd/system/multi-user.target.wants/ollama-ha-agent.service'))).toContain('ollama-ha-agent.service');
  // This machine's systemd reads them; the package is not installed here, so its programs stand for any.
  const units = ['ollama-ha-agent.service', 'ollama-ha-fence.service'].map((name) => {
    const path = join(dist, name);
    writeFileSync(
      path,
      readFileSync(inside(`lib/systemd/system/${name}`), 'utf8').replaceAll(/\/usr\/s?bin\/(ollama-ha-agent|agentctl|nft)/g, '/bin/true'),
    );
    return path;
  });
  expect(outputOf('systemd-analyze', ['verify', ...units])).toBe('');
  const exposure = /exposure level for \S+: ([\d.]+)/.exec(outputOf('systemd-analyze', ['security', '--offline=true', units[0] ?? '']));
  expect(Number(exposure?.[1])).toBeLessThan(4);
});

test('completions, manual pages and the commented configuration are there and work', async () => {
  done(await host.exec('bash', '-n', '/usr/share/bash-completion/completions/agentctl'));
  for (const path of ['zsh/vendor-completions/_agentctl', 'fish/vendor_completions.d/agentctl.fish'])
    expect(readFileSync(inside(`usr/share/${path}`), 'utf8')).toContain('agentctl');
  for (const page of ['man1/agentctl.1', 'man8/ollama-ha-agent.8', 'man5/agent.yaml.5'])
    expect(
      complaintsOf('man', ['--warnings', '-l', inside(`usr/share/man/${page}.gz`)], { MANWIDTH: '200', LC_ALL: 'C.UTF-8' }),
    ).not.toContain('warning');
  done(await host.exec('env', 'OLLAMA_HA_NODE__ID=gpu1', 'agentctl', 'config', 'check', '/etc/ollama-ha/agent.yaml.example'));
});

test('set up by its own commands and started as its unit says, it becomes active, as a user with five capabilities', async () => {
  done(await host.exec('agentctl', 'pki', 'init', '--cluster', 'prod', '--dir', '/root/pki'));
  done(await host.exec('agentctl', 'pki', 'issue', '--dir', '/root/pki', '--node', 'gpu1', '--out', '/etc/ollama-ha/pki'));
  const flags = ['--node', 'gpu1', '--cluster', 'prod', '--nodes', 'gpu1=10.77.0.1', '--vip', '10.77.0.100/24', '--interface', 'eth0'];
  done(await host.exec('agentctl', 'init', ...flags, '--secret'));
  done(await host.exec('sed', '-i', 's/driver: keepalived/driver: address/', '/etc/ollama-ha/agent.yaml'));
  mkdirSync(inside(store), { recursive: true });
  writeFileSync(inside(`${store}/of-ollama`), 'a model');
  startOllama();
  agent = startAgent();
  const pid = await settled();
  const status = readFileSync(`/proc/${await hostPid(pid)}/status`, 'utf8');
  expect(status).not.toMatch(/^Uid:\t0\t/m);
  // CHOWN, DAC_OVERRIDE, KILL, NET_ADMIN, NET_RAW
  expect(/^CapEff:\t(\w+)$/m.exec(status)?.[1]).toBe('0000000000003023');
  // Another user's process, as a runner of Ollama, keepalived and nginx are.
  done(await host.exec(...asUser(['kill', '-0', '1'])));
  expect((await host.exec('ip', '-br', 'address', 'show', 'eth0')).out).toContain('10.77.0.100/24');
  expect((await host.exec('nft', 'list', 'set', 'netdev', 'ollama_ha_fence', 'live')).out).toContain('10.77.0.100 timeout');
  expect((await host.exec('stat', '-c', '%U:%G %a', '/run/ollama-ha/agent.sock')).out).toBe('ollama-ha:ollama-ha 660\n');
});

test('killed, its stop hook takes the address down, closes the fence and releases the lease', async () => {
  agent?.kill('SIGKILL');
  done(await host.exec('pkill', '-KILL', '-f', '^/usr/bin/ollama-ha-agent'));
  const [hook] = unit().stopPost;
  const said = await host.exec(...asUser(expand(hook ?? { words: [], mayFail: false }, unit().environment)));
  expect(said).toMatchObject({ code: 0, out: expect.stringMatching(/ok +fence: closed[\s\S]*ok +release epoch \d+/) });
  expect((await host.exec('ip', '-br', 'address', 'show', 'eth0')).out).not.toContain('10.77.0.100');
});

test('an upgrade keeps configuration and state, and the running agent goes on until it is told', async () => {
  agent = startAgent();
  const before = await settled();
  const tree = join(dist, 'newer');
  execFileSync('dpkg-deb', ['-R', deb, tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, '$&+newer'));
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '-b', tree, inside('newer.deb')], { stdio: 'pipe' });
  const config = readFileSync(inside('etc/ollama-ha/agent.yaml'), 'utf8');
  done(await host.exec('dpkg', '-i', '/newer.deb'));
  expect((await host.exec('dpkg', '-s', 'ollama-ha')).out).toMatch(/^Version: .*\+newer$/m);
  expect(readFileSync(inside('etc/ollama-ha/agent.yaml'), 'utf8')).toBe(config);
  expect(await settled()).toBe(before);
  done(await host.exec('pkill', '-TERM', '-f', '^/usr/bin/ollama-ha-agent'));
  await exited(agent);
  expect((await host.exec('pgrep', '-r', 'R,S,D', '-x', 'redis-server')).code).toBe(1);
});

test('purging takes configuration, secrets, state and the fence away, and no model', async () => {
  done(await host.exec('dpkg', '--remove', 'ollama-ha'));
  expect(existsSync(inside('etc/ollama-ha/agent.yaml'))).toBe(true);
  expect((await host.exec('nft', 'list', 'tables')).out).not.toContain('ollama_ha_fence');
  done(await host.exec('dpkg', '--purge', 'ollama-ha'));
  for (const path of ['etc/ollama-ha', 'var/lib/ollama-ha', 'run/ollama-ha', 'usr/bin/agentctl', 'usr/lib/ollama-ha'])
    expect(existsSync(inside(path)), path).toBe(false);
  expect(readFileSync(inside(`${store}/of-ollama`), 'utf8')).toBe('a model');
});

function unit() {
  const path = inside('lib/systemd/system/ollama-ha-agent.service');
  return parseUnit([{ path, text: readFileSync(path, 'utf8') }]);
}

/** As User=, AmbientCapabilities= and CapabilityBoundingSet= of the unit say. */
function asUser(argv: readonly string[]): readonly string[] {
  const text = readFileSync(inside('lib/systemd/system/ollama-ha-agent.service'), 'utf8');
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  const set = (key: string) =>
    value(key)
      .split(' ')
      .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
      .join(',');
  const caps = [
    `--inh-caps=${set('AmbientCapabilities')}`,
    `--ambient-caps=${set('AmbientCapabilities')}`,
    `--bounding-set=-all,${set('CapabilityBoundingSet')}`,
  ];
  return ['setpriv', `--reuid=${value('User')}`, `--regid=${value('Group')}`, '--init-groups', '--no-new-privs', ...caps, ...argv];
}

function startAgent(): ChildProcess {
  const { start, environment } = unit();
  const child = host.start(asUser(expand(start, environment)));
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: Buffer) => log.push(String(text)));
  return child;
}

const log: string[] = [];

function startOllama(): void {
  const program = join(import.meta.dirname, '../fake-ollama/main.ts');
  const [file = '', ...args] = host.inNetwork([
    process.execPath,
    program,
    '--host',
    '0.0.0.0',
    '--port',
    '11434',
    '--store',
    inside(store),
  ]);
  ollama = spawn(file, args, { stdio: 'ignore' });
}

/** Waits until this node is active; returns the agent's process id inside. */
async function settled(): Promise<string> {
  for (let tries = 0; tries < 80; tries += 1) {
    const { out } = await host.exec('agentctl', 'status', '--json');
    if (/"holder":\s*"gpu1"|"role":\s*"active"/i.test(out) && /10\.77\.0\.100/.test((await host.exec('ip', '-br', 'address')).out)) {
      return (await host.exec('pgrep', '-o', '-f', '^/usr/bin/ollama-ha-agent')).out.trim();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the agent did not become active:\n${log.join('').slice(-4000)}`);
}

/** The same process, as this machine numbers it. */
async function hostPid(pid: string): Promise<string> {
  const outside = execFileSync('pgrep', ['-f', '^/usr/bin/ollama-ha-agent'], { encoding: 'utf8' }).trim().split('\n');
  const same = outside.find((candidate) =>
    new RegExp(`^NSpid:\\t${candidate}\\t${pid}$`, 'm').test(readFileSync(`/proc/${candidate}/status`, 'utf8')),
  );
  return same ?? '';
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

/** What a program wrote to standard error. */
function complaintsOf(file: string, args: readonly string[], env: Record<string, string>): string {
  return spawnSync(file, args, { encoding: 'utf8', env: { ...process.env, ...env } }).stderr;
}

/** Both outputs of a program; that it failed stands in them. */
function outputOf(file: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  return `${status === 0 ? '' : `${file} ended with code ${status}: `}${stdout}${stderr}`;
}
