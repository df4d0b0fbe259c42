// The certificates themselves: P-256, the CA for ten years, leaves for 825 days. A leaf's DNS name is the identity that agents check.
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { CliError } from './errors.ts';

/** A certificate and its private key, PEM. */
export type Pair = { readonly cert: string; readonly key: string };

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;
const caDays = 3650;
const leafDays = 825;

/** A new CA for a cluster; its subject carries the cluster's name. */
export async function makeCa(cluster: string): Promise<Pair & { readonly notAfter: Date }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const { notBefore, notAfter } = validity(caDays);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [`${cluster}.ollama-ha`] }],
    notBefore,
    notAfter,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${cert.toString('pem')}\n`, key: await privatePem(keys.privateKey), notAfter };
}

/** A certificate of a node (`ID.CLUSTER.ollama-ha`) or an operator (`NAME.operator.CLUSTER.ollama-ha`), for both ends of a connection. */
export async function issueCertificate(args: {
  readonly ca: Pair;
  readonly who: { readonly k: 'node' | 'operator'; readonly id: string };
}): Promise<Pair & { readonly name: string; readonly notAfter: Date }> {
  const ca = await caOf(args.ca);
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const name = args.who.k === 'node' ? `${args.who.id}.${ca.cluster}.ollama-ha` : `${args.who.id}.operator.${ca.cluster}.ollama-ha`;
  const { notBefore, notAfter } = validity(leafDays);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    // A common name holds 64 characters at most; the identity is the alternative name.
    subject: [{ CN: [args.who.id] }],
    issuer: ca.cert.subject,
    notBefore,
    notAfter,
    publicKey: keys.publicKey,
    signingKey: ca.key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.cert),
    ],
  });
  return { cert: `${cert.toString('pem')}\n`, key: await privatePem(keys.privateKey), name, notAfter };
}

async function caOf(pair: Pair): Promise<{ cert: x509.X509Certificate; key: CryptoKey; cluster: string }> {
  try {
    const cert = new x509.X509Certificate(pair.cert);
    const key = await crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pair.key), algorithm, false, ['sign']);
    const cluster = /^([a-z0-9-]+)\.ollama-ha$/.exec(cert.subjectName.getField('CN')[0] ?? '')?.[1];
    if (cluster === undefined) throw new Error('its subject names no cluster');
    return { cert, key, cluster };
  } catch (cause) {
    const hint = 'it must be a CA that agentctl pki init made';
    throw new CliError({ code: 'certificate', message: 'ca.crt or ca.key cannot be used', where: '--dir', hint, cause });
  }
}

// An hour back: the clocks of the nodes need not agree.
function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + days * dayMs) };
}

function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function privatePem(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}
