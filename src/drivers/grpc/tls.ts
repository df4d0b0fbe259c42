// Who is who on the wire. The cluster's CA signs; the name in the certificate is the peer's name, and nothing a message says can change it.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { NodeId } from '../../core/types.ts';

/** PEM files of this node. */
export type TlsFiles = { readonly ca: string; readonly cert: string; readonly key: string };

/** Their contents, checked to belong together and to name this node. */
export type TlsIdentity = { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer; readonly cluster: string };

/** The identity in use. It may be replaced while connections are open: every later handshake takes the new one. */
export type LiveIdentity = {
  readonly current: () => TlsIdentity;
  /** For handshakes of our own. */
  readonly context: () => SecureContext;
  readonly replace: (next: TlsIdentity) => void;
  /** Called at every replacement. */
  readonly onReplaced: (listener: (identity: TlsIdentity) => void) => void;
};

/** Starts with a loaded identity. */
export function liveIdentity(first: TlsIdentity): LiveIdentity {
  const listeners: ((identity: TlsIdentity) => void)[] = [];
  const contextOf = ({ ca, cert, key }: TlsIdentity) => createSecureContext({ ca, cert, key });
  let current = first;
  let context = contextOf(first);
  return {
    current: () => current,
    context: () => context,
    replace: (next) => {
      current = next;
      context = contextOf(next);
      for (const listener of listeners) listener(next);
    },
    onReplaced: (listener) => void listeners.push(listener),
  };
}

/** An error for the operator: what, where, what to do. */
export type PeersError = { readonly code: string; readonly message: string; readonly hint: string };

/** What a certificate proves. */
export type CertificateName = { readonly kind: 'node' | 'operator'; readonly name: string };

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

/** The DNS name in a node's certificate. */
export function serverNameOf(node: NodeId, cluster: string): string {
  return `${node}.${cluster}.ollama-ha`;
}

/**
 * The one node or operator that a subjectAltName text (as node:tls gives it) stands for in this cluster. Null for other clusters, for several
 * names of ours in one certificate, and for text that needs quoting: such names are made to be misread.
 */
export function nameOf(subjectAltName: string | undefined, cluster: string): CertificateName | null {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return null;
  const form = new RegExp(`^DNS:(${LABEL})(\\.operator)?\\.${cluster}\\.ollama-ha$`);
  const ours = subjectAltName.split(', ').flatMap((entry) => {
    const match = form.exec(entry);
    return match?.[1] === undefined ? [] : [{ kind: match[2] === undefined ? 'node' : 'operator', name: match[1] } as const];
  });
  return ours.length === 1 ? (ours[0] ?? null) : null;
}

/** Reads and checks the PEM files. Never throws; the error names the file. */
export async function loadIdentity(files: TlsFiles, node: NodeId, cluster: string): Promise<TlsIdentity | { readonly error: PeersError }> {
  const read: Partial<Record<keyof TlsFiles, Buffer>> = {};
  for (const part of ['ca', 'cert', 'key'] as const) {
    try {
      read[part] = await readFile(files[part]);
    } catch (cause) {
      const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
      const hint = `make one with agentctl pki issue, or correct pki.${part} in the configuration`;
      return { error: { code: 'pki-file', message: `pki.${part}: cannot read ${files[part]} (${why})`, hint } };
    }
  }
  const { ca = Buffer.alloc(0), cert = Buffer.alloc(0), key = Buffer.alloc(0) } = read;
  const error = check(files, { ca, cert, key, cluster }, node);
  return error === null ? { ca, cert, key, cluster } : { error };
}

function check(files: TlsFiles, identity: TlsIdentity, node: NodeId): PeersError | null {
  const { cluster } = identity;
  const certificate = parsed(() => new X509Certificate(identity.cert));
  const hint = `issue it anew: agentctl pki issue --node ${node}`;
  if (certificate === null) return { code: 'pki-cert', message: `${files.cert} holds no PEM certificate`, hint };
  const authorities = authoritiesOf(identity.ca);
  if (authorities === null)
    return { code: 'pki-ca', message: `${files.ca} holds no PEM certificate`, hint: "copy the cluster's ca.crt there" };
  const key = parsed(() => createPrivateKey(identity.key));
  if (key === null) return { code: 'pki-key', message: `${files.key} holds no PEM private key`, hint };
  if (!certificate.checkPrivateKey(key)) return { code: 'pki-key', message: `${files.key} is not the key of ${files.cert}`, hint };
  if (!authorities.some((authority) => certificate.verify(authority.publicKey))) {
    const message = `${files.cert} is signed by none of the CAs in ${files.ca}`;
    return { code: 'pki-ca', message, hint: `copy the cluster's ca.crt there, or ${hint}` };
  }
  const name = nameOf(certificate.subjectAltName, cluster);
  if (name?.kind === 'node' && name.name === node) return null;
  const found = certificate.subjectAltName ?? 'no name at all';
  const message = `${files.cert} must name ${serverNameOf(node, cluster)}, but names ${found.slice(0, 300)}`;
  return { code: 'pki-name', message, hint: `set node.id and cluster.name to match it, or ${hint}` };
}

/** The certificates of a PEM file, which holds two while the CA is being changed; null when one of them is none. */
function authoritiesOf(pem: Buffer): readonly X509Certificate[] | null {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const all = blocks.map((block) => parsed(() => new X509Certificate(block)));
  const good = all.filter((certificate) => certificate !== null);
  return good.length === 0 || good.length < all.length ? null : good;
}

function parsed<T>(build: () => T): T | null {
  try {
    return build();
  } catch {
    return null;
  }
}
