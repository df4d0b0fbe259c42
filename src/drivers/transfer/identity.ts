// Who is at the other end: the node named by the certificate, and nothing else. The cluster's CA vouches for the name.
import type { NodeId } from '../../core/types.ts';

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

/** The DNS name in a node's certificate. */
export function certificateName(node: NodeId, cluster: string): string {
  return `${node}.${cluster}.ollama-ha`;
}

/**
 * The node that a certificate's subjectAltName text (as node:tls gives it) stands for. Null for operators, other clusters, several nodes in
 * one certificate, and for names that need quoting: those are made to be misread.
 */
export function nodeOfCertificate(subjectAltName: string | undefined, cluster: string): NodeId | null {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return null;
  const names = subjectAltName.split(', ').flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice(4).toLowerCase()] : []));
  if (names.some((name) => name.endsWith(`.operator.${cluster}.ollama-ha`))) return null;
  const form = new RegExp(`^(${LABEL})\\.${cluster}\\.ollama-ha$`);
  const nodes = names.flatMap((name) => form.exec(name)?.[1] ?? []);
  return nodes.length === 1 ? (nodes[0] ?? null) : null;
}
