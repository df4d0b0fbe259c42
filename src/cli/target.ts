// Which agent to ask, and how to know that it is the one meant: the Unix socket, or TLS to a name from the cluster's certificates.
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { defaultConfigPath, runDirectoryOf } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_CANNOT_ASK, EXIT_USAGE } from './errors.ts';
import type { GlobalOptions } from './globals.ts';

/** An agent to talk to. `where` names it in messages. */
export type Target =
  | { readonly k: 'socket'; readonly path: string; readonly where: string }
  | {
      readonly k: 'tls';
      /** host:port to connect to. */
      readonly address: string;
      /** The DNS name that its certificate must carry. */
      readonly serverName: string;
      readonly ca: Buffer;
      readonly cert: Buffer;
      readonly key: Buffer;
      readonly where: string;
    };

const certificateBytesMax = 65_536;
const defaultPki = { ca: '/etc/ollama-ha/pki/ca.crt', cert: '/etc/ollama-ha/pki/node.crt', key: '/etc/ollama-ha/pki/node.key' };

/** The agent that the global options name. */
export async function targetOf(ctx: CommandContext): Promise<Target> {
  const globals = ctx.globals();
  if (globals.host !== undefined) return await tlsTarget(globals, globals.host, ctx);
  const path = globals.socket ?? `${await runDirectoryOf(globals.config ?? defaultConfigPath, ctx.env)}/agent.sock`;
  return { k: 'socket', path, where: path };
}

async function tlsTarget(globals: GlobalOptions, host: string, ctx: CommandContext): Promise<Target> {
  const config = await configIfAny(globals, ctx);
  const { name, port } = splitHost(host);
  const places = config === null ? [] : [...config.cluster.nodes, ...config.redis.voters];
  const place = places.find((known) => known.id === (globals.node ?? name)) ?? places.find((known) => known.address === name);
  const node = globals.node ?? place?.id ?? (isIP(name) === 0 && !name.includes('.') ? name : undefined);
  if (node === undefined) {
    const hint = `add --node ID (the id in its certificate), or name a node: --host ID${places.length > 0 ? ` (${ids(places)})` : ''}`;
    throw new CliError({
      code: 'usage',
      message: 'it is not known which node this is',
      where: `--host ${host}`,
      hint,
      exitCode: EXIT_USAGE,
    });
  }
  const address = place?.id === name ? place.address : name;
  const cert = pem(globals.cert ?? config?.pki.cert ?? defaultPki.cert, '--cert');
  const cluster = config?.cluster.name ?? (await clusterOf(cert));
  const portNumber = port ?? config?.ports.peer ?? 11440;
  return {
    k: 'tls',
    address: `${isIP(address) === 6 ? `[${address}]` : address}:${portNumber}`,
    serverName: `${node}.${cluster}.ollama-ha`,
    ca: pem(globals.ca ?? config?.pki.ca ?? defaultPki.ca, '--ca'),
    cert,
    key: pem(globals.key ?? config?.pki.key ?? defaultPki.key, '--key'),
    where: `${node} at ${address}:${portNumber}`,
  };
}

// An operator's own machine has no configuration; then options and certificates must say it all.
async function configIfAny(globals: GlobalOptions, ctx: CommandContext): Promise<Config | null> {
  if (globals.config === undefined && statSync(defaultConfigPath, { throwIfNoEntry: false }) === undefined) return null;
  try {
    return await ctx.loadConfig();
  } catch (error) {
    // A wrong file here is no state of the cluster: nothing could be asked.
    throw error instanceof CliError ? error.withExit(EXIT_CANNOT_ASK) : error;
  }
}

function splitHost(host: string): { name: string; port?: number } {
  const match = /^(?:\[([^\]]+)\]|([^:\s]+))(?::(\d{1,5}))?$/.exec(host);
  const name = match?.[1] ?? match?.[2] ?? (isIP(host) === 6 ? host : undefined);
  if (name === undefined) {
    throw new CliError({
      code: 'usage',
      message: 'not a host',
      where: `--host ${host}`,
      hint: 'write HOST, HOST:PORT or [IPV6]:PORT',
      exitCode: EXIT_USAGE,
    });
  }
  return match?.[3] === undefined ? { name } : { name, port: Number(match[3]) };
}

function pem(path: string, option: string): Buffer {
  try {
    if (statSync(path).size > certificateBytesMax)
      throw new CliError({ code: 'certificate', message: 'too large for a certificate or key', where: path, exitCode: EXIT_CANNOT_ASK });
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    const reason = (cause as NodeJS.ErrnoException).code === 'EACCES' ? 'may not be read by this user' : 'cannot be read';
    const hint = `name the file with ${option}; agentctl pki issue --operator NAME makes one for a person`;
    throw new CliError({ code: 'certificate', message: `the file ${reason}`, where: path, hint, exitCode: EXIT_CANNOT_ASK, cause });
  }
}

async function clusterOf(cert: Buffer): Promise<string> {
  const { X509Certificate } = await import('node:crypto');
  const names = new X509Certificate(cert).subjectAltName ?? '';
  const cluster = /DNS:(?:[^,\s]+\.)?([a-z0-9-]+)\.ollama-ha(?:,|$)/.exec(names)?.[1];
  if (cluster !== undefined) return cluster;
  const hint = 'use one made by agentctl pki issue, or name the configuration with --config';
  throw new CliError({
    code: 'certificate',
    message: 'the client certificate names no cluster',
    where: '--cert',
    hint,
    exitCode: EXIT_CANNOT_ASK,
  });
}

function ids(places: readonly { readonly id: string }[]): string {
  return [...new Set(places.map((place) => place.id))].join(', ');
}
