// What `agentctl init` needs to know: from options, else from questions, else one error that names every missing option.
import { hostname, networkInterfaces } from 'node:os';
import type { PresetName } from '../config/presets.ts';
import type { Answers, Place } from '../config/template.ts';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';

/** Options of the command as commander hands them over. */
export type InitOptions = {
  readonly node?: string;
  readonly cluster?: string;
  readonly nodes?: string;
  readonly witness?: string;
  readonly vip?: string;
  readonly interface?: string;
  readonly routerId?: number;
  readonly preset: PresetName;
  readonly store: string;
  readonly pki: string;
  readonly secretFile: string;
  readonly secret?: true;
  readonly force?: true;
  readonly json?: true;
};

type Ask = (question: string, fallback: string) => Promise<string>;

/** The answers; questions are asked only on a terminal, and only for what no option says. */
export async function answersFrom(ctx: CommandContext, options: InitOptions): Promise<{ answers: Answers; makeSecret: boolean }> {
  const ask = askerOf(ctx);
  if (ask === null) mustBeComplete(options);
  const node = options.node ?? (await answer(ask, 'id of this node', shortHostname()));
  const cluster = options.cluster ?? (await answer(ask, 'name of the cluster', 'ollama'));
  const nodes = placesOf('--nodes', options.nodes ?? (await answer(ask, 'Ollama nodes (id=address,...)', `${node}=${ownAddress()}`)));
  const witness = await witnessOf(options, ask, nodes.length);
  const vip = await vipOf(options, ask, nodes.find((place) => place.id === node)?.address);
  const makeSecret =
    options.secret === true || (ask !== null && /^y/i.test(await ask(`make the cluster secret ${options.secretFile}? (y/n)`, 'y')));
  const { preset, secretFile, pki, store } = options;
  return { answers: { node, cluster, nodes, witness, vip, preset, secretFile, pki, store }, makeSecret };
}

function askerOf(ctx: CommandContext): Ask | null {
  const { ask, isTty } = ctx;
  if (ask === undefined || !isTty) return null;
  return async (question, fallback) => {
    const given = (await ask(`${question}${fallback === '' ? '' : ` [${fallback}]`}: `)).trim();
    return given === '' ? fallback : given;
  };
}

function mustBeComplete(options: InitOptions): void {
  const missing = [
    ...(options.cluster === undefined ? ['--cluster NAME'] : []),
    ...(options.nodes === undefined ? ['--nodes ID=ADDRESS,...'] : []),
    ...(options.vip === undefined ? ['--vip ADDRESS/PREFIX (or none)'] : []),
    ...(options.vip !== undefined && options.vip !== 'none' && options.interface === undefined ? ['--interface NAME'] : []),
  ];
  if (missing.length > 0) throw usage('options are missing', missing.join(' '), 'give them, or run it on a terminal to be asked');
}

async function answer(ask: Ask | null, question: string, fallback: string): Promise<string> {
  return ask === null ? fallback : await ask(question, fallback);
}

// Only two nodes need one; without it the check of the configuration explains why.
async function witnessOf(options: InitOptions, ask: Ask | null, nodes: number): Promise<Place | null> {
  const text = options.witness ?? (nodes === 2 ? await answer(ask, 'witness: a third machine with a vote (id=address)', '') : '');
  return text === '' ? null : (placesOf('--witness', text)[0] ?? null);
}

async function vipOf(options: InitOptions, ask: Ask | null, own: string | undefined): Promise<Answers['vip']> {
  const address = options.vip ?? (await answer(ask, 'virtual address with prefix length, or none', 'none'));
  if (address === 'none') return null;
  const fallback = interfaceOf(own);
  const name = options.interface ?? (await answer(ask, 'interface that carries it', fallback));
  const routerId = options.routerId ?? Number(await answer(ask, 'VRRP id, unique in the network segment', '77'));
  return { address, interface: name, routerId };
}

function placesOf(option: string, text: string): readonly Place[] {
  return text.split(',').map((part) => {
    const [id, address, ...rest] = part.trim().split('=');
    if (!id || !address || rest.length > 0)
      throw usage('not a list of ID=ADDRESS', `${option} ${text}`, 'write gpu1=10.0.0.1,gpu2=10.0.0.2');
    return { id, address };
  });
}

function shortHostname(): string {
  return hostname().split('.')[0]?.toLowerCase() ?? '';
}

function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find((address) => !address.internal && address.family === 'IPv4')?.address ?? '';
}

function interfaceOf(address: string | undefined): string {
  const found = Object.entries(networkInterfaces()).find(([, addresses]) => addresses?.some((one) => one.address === address));
  return found?.[0] ?? 'eth0';
}

function usage(message: string, where: string, hint: string): CliError {
  return new CliError({ code: 'usage', message, where, hint, exitCode: EXIT_USAGE });
}
