// A fresh TLS handshake with a peer. It answers two questions: is it worth creating a gRPC client (which has no connect timeout and leaks its
// socket when closed while connecting), and is the process there alive. A stopped process still accepts TCP, but shakes no hands.
import { checkServerIdentity, connect, type SecureContext } from 'node:tls';

/** Time for TCP and TLS together, ms. */
export const PROBE_MS = 300;

/** Whom to probe, and the name its certificate must bear. */
export type ProbeTarget = { readonly host: string; readonly port: number; readonly serverName: string; readonly context: SecureContext };

/** True when the peer completed a handshake under its name within the time. Never rejects; the socket is closed in any case. */
export function handshake(target: ProbeTarget, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({
      host: target.host,
      port: target.port,
      secureContext: target.context,
      servername: target.serverName,
      ALPNProtocols: ['h2'],
      checkServerIdentity: (_host, certificate) => checkServerIdentity(target.serverName, certificate),
    });
    const end = (ok: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(ok);
    };
    const giveUp = () => end(false);
    const timer = setTimeout(giveUp, timeoutMs);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('secureConnect', () => end(socket.authorized));
    // Stays for late errors of a destroyed socket, which would otherwise end the process.
    socket.on('error', giveUp);
    socket.once('close', giveUp);
  });
}
