// Reading what lies in a directory of certificates.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CliError } from './errors.ts';

/** A PEM file's text; throws a CliError. */
export function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const message = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw new CliError({
      code: 'certificate',
      message,
      where: path,
      hint: 'agentctl pki init --cluster NAME --dir DIRECTORY makes a CA',
      cause,
    });
  }
}

/** The cluster that a CA certificate names; throws a CliError for one that agentctl did not make. */
export function clusterOfCa(pem: string, path: string): string {
  try {
    const cluster = /^CN=([a-z0-9-]+)\.ollama-ha$/.exec(new X509Certificate(pem).subject)?.[1];
    if (cluster !== undefined) return cluster;
  } catch {
    // no certificate at all: the same answer
  }
  throw new CliError({
    code: 'certificate',
    message: 'not a CA of a cluster',
    where: path,
    hint: 'it must be one that agentctl pki init made',
  });
}
