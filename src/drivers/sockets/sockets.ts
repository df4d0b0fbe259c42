// Resets the TCP connections of addresses by `ss -K`: a client that only reads would otherwise wait for ever after the address has moved.
// Needs CAP_NET_ADMIN and a kernel with CONFIG_INET_DIAG_DESTROY.
import { execFile } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';

/** How the reset went. */
export type KillOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** Resets every TCP connection whose local address is one of `addresses` (no prefix lengths); killed after `limitMs`. Never rejects. */
export function killSockets(addresses: readonly string[], limitMs = 150): Promise<KillOutcome> {
  return ss(filterOf(addresses), limitMs);
}

/** The words by which `ss` chooses the connections of these addresses. */
export function filterOf(addresses: readonly string[]): string[] {
  return addresses.flatMap((address) => ['or', 'src', address.includes(':') ? `[${address}]` : address]).slice(1);
}

function ss(filter: readonly string[], limitMs: number): Promise<KillOutcome> {
  return new Promise((resolve) => {
    // Numeric: names would be looked up. The list of closed connections is not read.
    const child = execFile(
      'ss',
      ['-KHtn', ...filter],
      { timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 },
      (error, _out, err) => {
        const said = err.split('\n')[0] ?? '';
        if (error === null) resolve({ ok: true });
        else resolve({ ok: false, why: error.killed ? `ss did not end within ${limitMs} ms` : said === '' ? error.message : said });
      },
    );
    child.stdin?.end();
  });
}

/** Tries `ss -K` on a connection of our own over loopback. The kernel says nothing when it lacks the option, so only the reset proves it. */
export async function canKillSockets(limitMs = 1000): Promise<KillOutcome> {
  const server = createServer((socket) => socket.on('error', () => {}));
  try {
    const socket = await dial(server);
    const gone = new Promise<boolean>((resolve) => {
      socket.on('error', () => {}).on('close', () => resolve(true));
      setTimeout(() => resolve(false), limitMs).unref();
    });
    const asked = await ss(['src', '127.0.0.1', 'sport', '=', `:${socket.localPort}`], limitMs);
    const reset = asked.ok && (await gone);
    socket.destroy();
    if (reset) return { ok: true };
    return asked.ok ? { ok: false, why: 'the kernel did not reset the connection (CONFIG_INET_DIAG_DESTROY, CAP_NET_ADMIN)' } : asked;
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    server.close();
  }
}

function dial(server: ReturnType<typeof createServer>): Promise<Socket> {
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') return reject(new Error('no port'));
      const socket = connect(bound.port, '127.0.0.1', () => resolve(socket));
      socket.on('error', reject);
    });
  });
}
