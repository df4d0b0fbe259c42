// Who calls: the name in the client certificate of the connection a call came over.

import type { PeerCertificate } from 'node:tls';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type CertificateName, nameOf } from './tls.ts';

/** The part of a server call that names its caller. */
export type Called = { getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate } };

/** The caller's certificate name, or null when it is none of this cluster. */
export function callerOf(call: Called, cluster: string): CertificateName | null {
  return nameOf(call.getAuthContext().sslPeerCertificate?.subjectaltname, cluster);
}

/** An error for the other side. */
export function failure(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

/** The answer to a caller whose certificate does not allow this call. */
export function forbidden(caller: CertificateName | null, what: string): ServiceError {
  const who = caller === null ? 'this certificate names nobody in this cluster' : `${caller.kind} ${caller.name}`;
  return failure(status.PERMISSION_DENIED, `${what} (${who})`);
}
