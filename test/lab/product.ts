// The kit that puts the product on the lab's hosts: agent, managed Redis, keepalived, fence, and a fake or a real Ollama.
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { setClock, steppedClock } from './clock.ts';
import { must } from './command.ts';
import type { HostPlan, Kit } from './kit.ts';
import { dataRoot, prefixLength, projectRoot, vipAddress } from './names.ts';
import type { UnitSpec } from './supervisor/protocol.ts';

/** Which product runs in the lab. */
export type ProductOptions = {
  readonly preset: string;
  /** A real `ollama` program; default: the fake. */
  readonly ollamaBin?: string | undefined;
  readonly vipDriver?: 'keepalived' | 'address' | 'none';
  /** Run the agents under libfaketime, so that `clockStep` moves their wall clock. */
  readonly steppableClock?: boolean;
  /** More of the configuration file, merged over the lab's own per section. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};

const mainFile = join(projectRoot, 'src/main.ts');
const systemdDir = join(projectRoot, 'deploy/systemd');
const clusterName = 'lab';

/** Port of the fake's control interface, on each host's loopback. */
const fakeControlPort = 11435;

/** The product as a kit. */
export function productKit(options: ProductOptions): Kit {
  const withKeepalived = (options.vipDriver ?? 'keepalived') === 'keepalived';
  return {
    prepareLab: preparePki,
    prepareHost: async (plan) => {
      for (const dir of ['etc', 'state', 'models', 'libexec']) mkdirSync(join(plan.dataDir, dir), { recursive: true });
      writeConfig(plan, options);
      setClock(plan, 0);
      if (withKeepalived) await prepareKeepalived(plan);
      await must([...agentctl(plan), 'fence', 'render'], { timeoutMs: 20_000 }).then((text) => writeFileSync(etc(plan, 'fence.nft'), text));
      return [fenceUnit(plan), ollamaUnit(plan, options), ...(withKeepalived ? [keepalivedUnit(plan)] : []), agentUnit(plan, options)];
    },
    boot: async (plan) => {
      mkdirSync(join(runOf(plan), 'vip'), { recursive: true, mode: 0o755 });
    },
    configFile: (plan) => etc(plan, 'agent.yaml'),
    pidFiles: (plan) => ({ redis: join(runOf(plan), 'redis.pid') }),
  };
}

function etc(plan: HostPlan, file: string): string {
  return join(plan.dataDir, 'etc', file);
}

function scriptOf(plan: HostPlan): string {
  return join(plan.dataDir, 'libexec/vip-deadline');
}

/** `paths.run` of a host's agent: its control socket, the files that keepalived follows, the managed Redis' pid. */
export function runOf(plan: HostPlan): string {
  return join(plan.runDir, 'agent');
}

function agentctl(plan: HostPlan): string[] {
  return [process.execPath, mainFile, 'agentctl', '--config', etc(plan, 'agent.yaml')];
}

async function preparePki(plans: readonly HostPlan[]): Promise<void> {
  const first = plans[0];
  if (first === undefined) return;
  const shared = join(dataRoot, first.id, 'pki');
  const pki = [process.execPath, mainFile, 'agentctl', 'pki'];
  mkdirSync(shared, { recursive: true });
  await must([...pki, 'init', '--cluster', clusterName, '--dir', shared]);
  await Promise.all(
    plans.map(async (plan) => {
      const out = join(plan.dataDir, 'etc/pki');
      mkdirSync(out, { recursive: true });
      await must([...pki, 'issue', '--dir', shared, '--node', plan.name, '--out', out]);
    }),
  );
  // A release is one bundled file; here each start would strip the types of every module anew, which costs the stop hook 100 ms. This fills the cache.
  await must([process.execPath, mainFile, 'agentctl', 'fence', '--local', '--run', shared], {
    env: { ...process.env, ...compileCache(first) },
  });
  const secret = randomBytes(32).toString('hex');
  for (const plan of plans) writeFileSync(etc(plan, 'secret'), `${secret}\n`, { mode: 0o600 });
}

function compileCache(plan: HostPlan): Record<string, string> {
  return { NODE_COMPILE_CACHE: join(dataRoot, plan.id, 'compile-cache') };
}

function writeConfig(plan: HostPlan, options: ProductOptions): void {
  const sections: Record<string, Record<string, unknown>> = {
    node: { id: plan.name, address: plan.address },
    cluster: {
      name: clusterName,
      nodes: placesOf(plan),
      secretFile: etc(plan, 'secret'),
    },
    pki: { ca: etc(plan, 'pki/ca.crt'), cert: etc(plan, 'pki/node.crt'), key: etc(plan, 'pki/node.key') },
    lease: { preset: options.preset },
    redis: { managed: true, voters: placesOf(plan).slice(0, votesOf(plan.peers.length)) },
    ollama: { url: 'http://127.0.0.1:11434', store: join(plan.dataDir, 'models') },
    vip: {
      driver: options.vipDriver ?? 'keepalived',
      address: `${vipAddress}/${prefixLength}`,
      interface: 'eth0',
      virtualRouterId: 77,
      deadlineScript: scriptOf(plan),
    },
    paths: { state: join(plan.dataDir, 'state'), run: runOf(plan) },
  };
  for (const [name, more] of Object.entries(options.config ?? {})) sections[name] = { ...sections[name], ...more };
  writeFileSync(etc(plan, 'agent.yaml'), stringify(sections));
}

function placesOf(plan: HostPlan): { id: string; address: string }[] {
  return plan.peers.map(({ name, address }) => ({ id: name, address }));
}

/** An odd number of votes, five at most: with two nodes the first alone has one. */
function votesOf(nodes: number): number {
  return nodes >= 5 ? 5 : nodes >= 3 ? 3 : 1;
}

/** keepalived runs scripts only from directories that root alone can write: ours stands in the lab's own. */
async function prepareKeepalived(plan: HostPlan): Promise<void> {
  copyFileSync(join(projectRoot, 'deploy/keepalived/vip-deadline'), scriptOf(plan));
  chmodSync(scriptOf(plan), 0o755);
  await must([...agentctl(plan), 'keepalived', 'render', '--user', 'root', '--out', etc(plan, 'keepalived.conf')]);
}

function fenceUnit(plan: HostPlan): UnitSpec {
  const files = [join(systemdDir, 'ollama-ha-fence.service')];
  return { name: 'fence', files, log: join(plan.logDir, 'fence.log'), environment: { FENCE_FILE: etc(plan, 'fence.nft') }, programs: {} };
}

function keepalivedUnit(plan: HostPlan): UnitSpec {
  const packaged = '/lib/systemd/system/keepalived.service';
  if (!existsSync(packaged)) throw new Error(`${packaged} is missing: install keepalived ("make setup" as root)`);
  const pid = (name: string): string => join(plan.runDir, name);
  const args = ['-n', '-l', '-D', '-P', '-f', etc(plan, 'keepalived.conf'), '-p', pid('keepalived.pid'), '-r', pid('vrrp.pid')];
  return {
    name: 'keepalived',
    files: [packaged, join(systemdDir, 'keepalived.service.d/ollama-ha.conf')],
    log: join(plan.logDir, 'keepalived.log'),
    environment: { DAEMON_ARGS: args.join(' '), VIP_ADDRESS: vipAddress, VIP_INTERFACE: 'eth0', TMPDIR: plan.runDir },
    programs: {},
  };
}

function agentUnit(plan: HostPlan, options: ProductOptions): UnitSpec {
  return {
    name: 'agent',
    files: [join(systemdDir, 'ollama-ha-agent.service')],
    log: join(plan.logDir, 'agent.log'),
    environment: { AGENT_CONFIG: etc(plan, 'agent.yaml'), ...compileCache(plan), ...(options.steppableClock ? steppedClock(plan) : {}) },
    programs: {
      '/usr/bin/ollama-ha-agent': [process.execPath, mainFile, 'agent'],
      '/usr/bin/agentctl': [process.execPath, mainFile, 'agentctl'],
    },
  };
}

function ollamaUnit(plan: HostPlan, options: ProductOptions): UnitSpec {
  const base = { name: 'ollama', log: join(plan.logDir, 'ollama.log') };
  const store = join(plan.dataDir, 'models');
  if (options.ollamaBin !== undefined) {
    const environment = { OLLAMA_HOST: '0.0.0.0:11434', OLLAMA_MODELS: store, HOME: plan.dataDir };
    return { ...base, files: [unitFile('ollama.service')], environment, programs: { '/usr/bin/ollama': [options.ollamaBin] } };
  }
  const environment = { OLLAMA_HOST: '0.0.0.0', OLLAMA_PORT: '11434', OLLAMA_MODELS: store, FAKE_CONTROL: String(fakeControlPort) };
  const fake = [process.execPath, join(projectRoot, 'test/fake-ollama/main.ts')];
  return { ...base, files: [unitFile('ollama-fake.service')], environment, programs: { '/usr/bin/fake-ollama': fake } };
}

function unitFile(name: string): string {
  return join(dirname(import.meta.filename), 'units', name);
}
