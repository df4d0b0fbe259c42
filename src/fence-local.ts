// `agentctl fence --local`: takes this host's address down and releases its lease without the agent, after any end of it. The service
// manager's stop hook calls it, so it has milliseconds: no Redis client is loaded, only one command's worth of one (drivers/redis/once.ts).
import { readFileSync, statSync } from 'node:fs';
import { connect, isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { defaultConfigPath, runDirectoryOf } from './config/places.ts';
import { vipDirOf } from './core/vip/keepalived-conf.ts';
import { addressOf, flushAddresses } from './drivers/address/link.ts';
import { addressPresent, anyOf } from './drivers/address/watch.ts';
import { openFiles } from './drivers/keepalived/files.ts';
import { openFence } from './drivers/nft/fence.ts';
import { killSockets } from './drivers/sockets/sockets.ts';
import { type Claim, openRelease, type Release } from './fence-release.ts';

/** How a step went; `text` is shown. */
type Told = { readonly ok: boolean; readonly text: string };
/** What is taken down: addresses with prefix lengths, on one interface. */
type Address = { readonly addresses: readonly string[]; readonly interface: string };
type Step = { readonly name: string; readonly run: () => Promise<Told> };

const SOCKETS_MS = 300;
const OFF_MS = 150;
const POLL_MS = 2;
const CLAIM_BYTES_MAX = 64 * 1024;

const now = () => Number(process.hrtime.bigint()) / 1e6;

const USAGE = 'usage: agentctl fence --local [--run DIR | --config FILE] [--vip ADDRESS/PREFIX ... --interface NAME]\n';

/** Runs all steps, each bounded in time, one line per step. Exit code: 0 done or nothing to do, 1 some step failed, 64 wrong options. */
export async function runFenceLocal(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  let options: Options;
  try {
    options = readOptions(argv);
  } catch (error) {
    process.stderr.write(`agentctl fence: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 64;
  }
  const config = options.config ?? env.AGENT_CONFIG ?? defaultConfigPath;
  const runDir = options.run ?? env.OLLAMA_HA_RUN ?? (await runDirectoryOf(config, env));
  if (handedOn(`${runDir}/handon.json`)) {
    say('handon', { ok: true, text: 'a new agent takes the lease over within its time: nothing is fenced' }, 0);
    return 0;
  }
  const claim = readClaim(`${runDir}/claim.json`);
  const vip = vipOf(options, claim);
  if (vip === null && claim === null) {
    say('claim', { ok: true, text: `no ${runDir}/claim.json and no --vip: nothing is known to take down` }, 0);
    return 0;
  }
  const alive = await agentLives(`${runDir}/agent.sock`);
  // Connecting takes longer than everything else: it runs beside the other steps, but not before the first.
  const release = claim !== null && claim.epoch > 0 ? afterFirstStep(() => openRelease(claim)) : null;
  const failedSteps = await inOrder(stepsOf({ runDir, claim, vip, release, alive }));
  (await release)?.end();
  if (failedSteps.length > 0) process.stderr.write(`agentctl fence: failed: ${failedSteps.join(', ')}\n`);
  return failedSteps.length > 0 ? 1 : 0;
}

/** Steps begin in this turn of the event loop, so their first program runs while this process connects. */
async function afterFirstStep<T>(start: () => T): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve));
  return start();
}

type Options = { readonly run?: string; readonly config?: string; readonly vip?: readonly string[]; readonly interface?: string };

function readOptions(argv: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: { local: { type: 'boolean' }, run: text, config: text, vip: { ...text, multiple: true }, interface: text },
    allowPositionals: true,
  });
  if ((values.vip === undefined) !== (values.interface === undefined)) throw new Error('--vip and --interface go together');
  const bad = values.vip?.find((vip) => isIP(addressOf(vip)) === 0);
  if (bad !== undefined) throw new Error(`--vip ${bad} is not an IP address`);
  return values;
}

/** The order is that of every revocation: resets need the address and an open fence, RELEASE comes last and only when "off" was seen. */
function stepsOf(host: {
  readonly runDir: string;
  readonly claim: Claim | null;
  readonly vip: Address | null;
  readonly release: Promise<Release> | null;
  readonly alive: boolean;
}): readonly Step[] {
  const { claim, vip, release } = host;
  let off = vip === null;
  const down: readonly Step[] = vip === null ? [] : downSteps(vip, host.runDir, claim?.driver ?? 'keepalived', () => (off = true));
  if (claim === null || release === null) return down;
  const last = async (): Promise<Told> => {
    // A living agent, frozen or not, may go on acting under the claim; its lease has to run out by itself.
    if (host.alive) return { ok: false, text: `not released: an agent still listens on ${host.runDir}/agent.sock; stop it first` };
    if (!off) return { ok: false, text: 'not released: the address was not confirmed off' };
    return (await release).run();
  };
  return [...down, { name: `release epoch ${claim.epoch}`, run: last }];
}

function downSteps(vip: Address, runDir: string, driver: Claim['driver'], confirmed: () => void): readonly Step[] {
  const plain = vip.addresses.map(addressOf);
  const fence = openFence({ interface: vip.interface, vips: plain, now, ifMissing: 'ignore' });
  // nft starts beside the reset of the sockets; the answer to this question does not matter.
  void fence.check();
  const flush = () => flushAddresses({ vips: vip.addresses, interface: vip.interface });
  return [
    { name: 'sockets', run: async () => told(await killSockets(plain, SOCKETS_MS), 'reset') },
    ...(driver === 'keepalived'
      ? [
          {
            name: 'lease',
            run: async () => told(openFiles({ dir: vipDirOf(runDir), now, onRecreated() {} }).lease(false), 'keepalived is told'),
          },
        ]
      : []),
    {
      name: 'fence',
      run: async () => {
        const closed = await fence.close();
        await fence.end();
        if (!closed.ok && closed.why.includes('ENOENT')) return { ok: true, text: 'no nft on this host' };
        return told(closed, 'closed');
      },
    },
    ...(driver === 'address' ? [{ name: 'address', run: async () => told(await flush(), 'removed') }] : []),
    {
      name: 'off',
      run: async () => {
        const seen = await confirmOff(vip, plain);
        if (seen.ok) confirmed();
        return seen;
      },
    },
  ];
}

async function confirmOff(vip: Address, plain: readonly string[]): Promise<Told> {
  if (await untilOff(plain)) return { ok: true, text: 'the address is on no interface' };
  // keepalived is frozen, deaf or gone: the address goes without it.
  const flushed = await flushAddresses({ vips: vip.addresses, interface: vip.interface });
  if (await untilOff(plain)) return { ok: true, text: 'the address was removed without keepalived' };
  return { ok: false, text: flushed.ok ? 'the address is still on an interface' : flushed.why };
}

async function untilOff(plain: readonly string[]): Promise<boolean> {
  for (const until = now() + OFF_MS; now() < until; await delay(POLL_MS))
    if (anyOf(plain.map((address) => addressPresent(address))) === false) return true;
  return false;
}

async function inOrder(steps: readonly Step[]): Promise<readonly string[]> {
  const failedSteps: string[] = [];
  for (const step of steps) {
    const from = now();
    const outcome = await step
      .run()
      .catch((error: unknown): Told => ({ ok: false, text: error instanceof Error ? error.message : String(error) }));
    say(step.name, outcome, now() - from);
    if (!outcome.ok) failedSteps.push(step.name);
  }
  return failedSteps;
}

function told(outcome: { readonly ok: true } | { readonly ok: false; readonly why: string }, done: string): Told {
  return outcome.ok ? { ok: true, text: done } : { ok: false, text: outcome.why };
}

function say(name: string, outcome: Told, ms: number): void {
  process.stdout.write(`${outcome.ok ? 'ok    ' : 'FAILED'} ${name}: ${outcome.text} (${ms.toFixed(0)} ms)\n`);
}

/** A restarting agent left its claim to its successor, and the time for that is not over. */
function handedOn(path: string): boolean {
  try {
    const { skipMs } = JSON.parse(readFileSync(path, 'utf8')) as { skipMs?: unknown };
    const ageMs = Date.now() - statSync(path).mtimeMs;
    return typeof skipMs === 'number' && ageMs >= 0 && ageMs <= skipMs;
  } catch {
    return false;
  }
}

/** The agent's claim; null when there is none, or none that can be read: the address goes down all the same. */
function readClaim(path: string): Claim | null {
  try {
    if (statSync(path).size > CLAIM_BYTES_MAX) throw new Error(`${path} is too large`);
    const claim = JSON.parse(readFileSync(path, 'utf8')) as Partial<Claim>;
    const complete =
      typeof claim.me === 'string' && Number.isSafeInteger(claim.epoch) && typeof claim.cluster === 'string' && Array.isArray(claim.redis);
    const bad = listOf(claim.vip ?? null).find((text) => isIP(addressOf(text)) === 0);
    if (bad !== undefined) throw new Error(`${path}: ${bad} is no address`);
    if (!complete) throw new Error(`${path} is not a claim`);
    return { vip: null, driver: 'none', ...claim } as Claim;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') process.stderr.write(`agentctl fence: ${String(error)}\n`);
    return null;
  }
}

function vipOf(options: Options, claim: Claim | null): Address | null {
  if (options.vip !== undefined && options.interface !== undefined) return { addresses: options.vip, interface: options.interface };
  return claim?.vip == null ? null : { addresses: listOf(claim.vip), interface: claim.vip.interface };
}

/** A claim of an older agent names one address only. */
function listOf(vip: Partial<NonNullable<Claim['vip']>> | null): readonly string[] {
  return vip?.addresses ?? (vip?.address === undefined ? [] : [vip.address]);
}

/** Some process still holds the agent's socket open, running or frozen. */
function agentLives(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
    // After a stall of this process the timer is first, and the answer lies waiting: one more turn decides.
    const late = () => {
      socket.destroy();
      resolve(true);
    };
    socket.setTimeout(200, () => setImmediate(() => setImmediate(late)));
  });
}
