// TLS as both ends of a blob connection set it: 1.3 only, the fastest strong cipher first.
import { X509Certificate } from 'node:crypto';
import type { OnReadOpts, Socket } from 'node:net';
import { type ConnectionOptions, connect, createSecureContext, type SecureContextOptions } from 'node:tls';
import { certificateName, nodeOfCertificate } from './identity.ts';
import type { Peer, TlsMaterial } from './messages.ts';

/** Shared by server and client. */
export const TLS_OPTIONS: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
};

/** Begins a connection; `ready` is the event after which the peer is known and bytes may be sent. */
export type Dial = (peer: Peer, onread: OnReadOpts) => { readonly socket: Socket; readonly ready: string };

/** Connects to a node and accepts no other: the certificate at the other end must be that node's. */
export function tlsDial(cluster: string, tls: TlsMaterial): Dial {
  const secureContext = createSecureContext({ ...TLS_OPTIONS, ...tls });
  return (peer, onread) => {
    const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
      secureContext,
      host: peer.host,
      port: peer.port,
      servername: certificateName(peer.node, cluster),
      checkServerIdentity: (_host, certificate) => {
        const names = new X509Certificate(certificate.raw).subjectAltName;
        return nodeOfCertificate(names, cluster) === peer.node ? undefined : new Error(`the certificate is not that of ${peer.node}`);
      },
      onread,
    };
    return { socket: connect(options), ready: 'secureConnect' };
  };
}
