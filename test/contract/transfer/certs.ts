// Certificates for tests: a CA and names under it, as the product's own PKI gives them out.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { TlsMaterial } from '../../../src/drivers/transfer/messages.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** A CA that issues certificates with the given DNS names. */
export type TestAuthority = { readonly issue: (dnsNames: readonly string[]) => Promise<TlsMaterial> };

/** Makes a CA. */
export async function createAuthority(): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const ca = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: 'CN=test cluster',
      ...validity,
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)],
    },
    webcrypto as Crypto,
  );
  let serial = 1;
  const issue = async (dnsNames: readonly string[]): Promise<TlsMaterial> => {
    serial += 1;
    const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create(
      {
        serialNumber: serial.toString(16).padStart(2, '0'),
        subject: `CN=${dnsNames[0] ?? 'nobody'}`,
        issuer: ca.subject,
        ...validity,
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new x509.SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value })))],
      },
      webcrypto as Crypto,
    );
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey));
    const key = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
    return { ca: ca.toString('pem'), cert: certificate.toString('pem'), key };
  };
  return { issue };
}
