// The two listeners: the peer port (mutual TLS, Peer and Control) and the local control socket.
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { experimental, Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { SERVER_OPTIONS, SOCKET_OPTIONS } from './options.ts';
import type { LiveIdentity, PeersError } from './tls.ts';

const DRAIN_MS = 500;
const CUT_MS = 100;
const ANSWER_MS = 500;

/** A service with its handlers. */
export type Service = { readonly definition: ServiceDefinition; readonly handlers: UntypedServiceImplementation };

/** A bound server. */
export type Listener = { readonly port: number; close(): Promise<void> };

/** Listens for peers and, where there is a control service, for operators. */
export async function listenForPeers(
  identity: LiveIdentity,
  listen: { readonly host: string; readonly port: number },
  services: readonly Service[],
): Promise<Listener | { readonly error: PeersError }> {
  const server = new Server(SERVER_OPTIONS);
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  const provider = providerOf(identity);
  const credentials = experimental.createCertificateProviderServerCredentials(provider, provider, true);
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const where = `${host}:${listen.port}`;
  const bound = await bind(server, where, credentials);
  if (typeof bound === 'number') return { port: bound, close: () => shut(server) };
  const busy = bound.includes('EADDRINUSE');
  const foreign = bound.includes('EADDRNOTAVAIL');
  const message = busy ? `port ${listen.port} on ${listen.host} is in use` : `cannot listen on ${where}: ${bound.slice(0, 200)}`;
  const hint = busy
    ? `end the other program (ss -ltnp sport = :${listen.port} names it), or set ports.peer`
    : foreign
      ? 'set node.address to an address of this host'
      : 'check node.address and ports.peer';
  return { error: { code: busy ? 'port-in-use' : 'cannot-listen', message, hint } };
}

/** The library's way to certificates that change: it takes the new ones for every later handshake. */
function providerOf(identity: LiveIdentity): Parameters<typeof experimental.createCertificateProviderServerCredentials>[0] {
  const follow = (tell: () => void) => {
    // Not at once: the library asks before it registers its server, and a certificate that comes too early is lost.
    queueMicrotask(tell);
    identity.onReplaced(tell);
  };
  return {
    addCaCertificateListener: (listener) => follow(() => listener({ caCertificate: identity.current().ca })),
    addIdentityCertificateListener: (listener) =>
      follow(() => listener({ certificate: identity.current().cert, privateKey: identity.current().key })),
    // The one server listens for as long as the agent runs.
    removeCaCertificateListener: () => undefined,
    removeIdentityCertificateListener: () => undefined,
  };
}

/** Listens for local operators. A socket file that nobody answers on is a leftover and replaced; anything else there is left alone. */
export async function listenOnSocket(path: string, services: readonly Service[]): Promise<Listener | { readonly error: PeersError }> {
  const leftover = await leftoverAt(path);
  if (leftover !== null) return { error: leftover };
  const server = new Server(SOCKET_OPTIONS);
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  const bound = await bind(server, `unix:${path}`, ServerCredentials.createInsecure());
  const failed = typeof bound === 'string' ? bound : await chmodded(path);
  if (failed === null) return { port: 0, close: () => shut(server) };
  server.forceShutdown();
  const hint = 'the directory must exist and belong to the agent (paths.run)';
  return { error: { code: 'cannot-listen', message: `cannot serve ${path}: ${failed.slice(0, 200)}`, hint } };
}

function bind(server: Server, where: string, credentials: ServerCredentials): Promise<number | string> {
  return new Promise((resolve) => {
    server.bindAsync(where, credentials, (error, port) => resolve(error === null ? port : error.message));
  });
}

async function chmodded(path: string): Promise<string | null> {
  try {
    await chmod(path, 0o660);
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message : 'chmod failed';
  }
}

async function leftoverAt(path: string): Promise<PeersError | null> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return null;
  if (!found.isSocket()) {
    return { code: 'socket-path', message: `${path} exists and is not a socket`, hint: 'move it away, or set paths.run' };
  }
  if (await answers(path)) {
    return { code: 'already-running', message: `another agent answers on ${path}`, hint: 'stop it first: systemctl stop ollama-ha' };
  }
  await unlink(path).catch(() => {});
  return null;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    // Somebody who accepts no connection within this time still holds the socket.
    const timer = setTimeout(() => end(true), ANSWER_MS);
    socket.once('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

/**
 * Lets running calls end for a moment, then cuts them: open streams would hold it for ever. The port is free at once. Not waited for: sockets
 * of peers that are stopped and never confirm the end.
 */
async function shut(server: Server): Promise<void> {
  const gone = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    server.forceShutdown();
    setTimeout(late.resolve, CUT_MS);
  }, DRAIN_MS);
  await Promise.race([gone, late.promise]);
  clearTimeout(timer);
}
