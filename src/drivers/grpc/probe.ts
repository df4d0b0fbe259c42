// A fresh TLS handshake with a peer. It answers two questions: is it worth creating a gRPC client (which has no connect timeout and leaks its
// socket when closed while connecting), and is the process there alive. A stopped process still accepts TCP, but shakes no hands.
import { checkServerIdentity, connect, type SecureContext } from 'node:tls';

/** Time for TCP and TLS together, ms. */
export const PROBE_MS = 300;

/** Whom to probe, the name its certificate must bear, and our own certificate of the moment. */
export type ProbeTarget = {
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
  readonly context: () => SecureContext;
};

/** True when the peer completed a handshake under its name within the time. Never rejects; the socket is closed in any case. */
export function handshake(
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
  /** Told when the peer is there and TLS fails: why. */
  onMismatch: (why: string) => void = () => undefined,
): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({
      host: target.host,
      port: target.port,
      secureContext: target.context(),
      servername: target.serverName,
      ALPNProtocols: ['h2'],
      checkServerIdentity: (_host, certificate) => checkServerIdentity(target.serverName, certificate),
    });
    let ended = false;
    const end = (ok: boolean) => {
      ended = true;
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
    socket.on('error', (error) => {
      const why = mismatchOf(error);
      if (why !== null && !ended) onMismatch(why);
      giveUp();
    });
    socket.once('close', giveUp);
  });
}

/** What an error of TLS says about certificates, in words that lead to the cause; null for every other error. */
function mismatchOf(error: Error & { code?: string }): string | null {
  const { code = '' } = error;
  if (code === 'SELF_SIGNED_CERT_IN_CHAIN' || code === 'CERT_SIGNATURE_FAILURE' || code.startsWith('UNABLE_TO_'))
    return 'its certificate is of a CA that is not in pki.ca';
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired';
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet: compare the clocks';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its certificate names another node or cluster';
  if (code.includes('ALERT_UNKNOWN_CA')) return 'it does not know the CA of our certificate';
  return code.includes('ALERT_CERTIFICATE_EXPIRED') ? 'it says that our certificate has expired' : null;
}
