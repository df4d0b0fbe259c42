// Certificates made by agentctl pki, and agentctl --host that trusts them.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type FakeControl, startFakeControl } from './fake-control.ts';
import { agentctl } from './run.ts';

const directory = mkdtempSync(join(tmpdir(), 'pki-'));
const ca = join(directory, 'ca');
const gpu1 = join(directory, 'gpu1');
const ann = join(directory, 'ann');
let fake: FakeControl | undefined;

beforeAll(async () => {
  expect(await agentctl(['pki', 'init', '--cluster', 'lab', '--dir', ca])).toMatchObject({ code: 0, err: '' });
  expect(await agentctl(['pki', 'issue', '--dir', ca, '--node', 'gpu1', '--out', gpu1])).toMatchObject({ code: 0, err: '' });
  expect(await agentctl(['pki', 'issue', '--dir', ca, '--operator', 'ann', '--out', ann])).toMatchObject({ code: 0, err: '' });
});

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const read = (...path: string[]) => readFileSync(join(...path));
const days = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 86_400_000;

describe('what is made', () => {
  test('the CA is P-256, signs only, and is good for ten years', () => {
    const cert = new X509Certificate(read(ca, 'ca.crt'));
    expect(cert.ca).toBe(true);
    expect(cert.subject).toBe('CN=lab.ollama-ha');
    expect(cert.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(days(cert.validFrom, cert.validTo)).toBeCloseTo(3650, 0);
  });

  test('a node is known by NODE.CLUSTER.ollama-ha, an operator by NAME.operator.CLUSTER.ollama-ha', () => {
    const issuer = new X509Certificate(read(ca, 'ca.crt'));
    const node = new X509Certificate(read(gpu1, 'node.crt'));
    const operator = new X509Certificate(read(ann, 'node.crt'));
    expect(node.subjectAltName).toBe('DNS:gpu1.lab.ollama-ha');
    expect(operator.subjectAltName).toBe('DNS:ann.operator.lab.ollama-ha');
    expect(node.verify(issuer.publicKey) && operator.verify(issuer.publicKey)).toBe(true);
    expect(node.ca).toBe(false);
    expect(node.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(days(node.validFrom, node.validTo)).toBeCloseTo(825, 0);
    expect(read(gpu1, 'ca.crt')).toEqual(read(ca, 'ca.crt'));
  });

  test('private keys are readable by their owner only', () => {
    for (const path of [join(ca, 'ca.key'), join(gpu1, 'node.key'), join(ann, 'node.key')]) expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});

describe('what is refused', () => {
  test('an existing CA or certificate is never overwritten', async () => {
    const before = [read(ca, 'ca.key'), read(gpu1, 'node.key')];
    const init = await agentctl(['pki', 'init', '--cluster', 'lab', '--dir', ca]);
    const issue = await agentctl(['pki', 'issue', '--dir', ca, '--node', 'gpu1', '--out', gpu1]);
    expect([init.code, issue.code]).toEqual([1, 1]);
    expect(init.err).toContain('will not overwrite');
    expect([read(ca, 'ca.key'), read(gpu1, 'node.key')]).toEqual(before);
  });

  test.each([
    ['a node id that is no DNS label', ['--node', 'GPU_1'], 64],
    ['both a node and an operator', ['--node', 'gpu1', '--operator', 'ann'], 64],
  ])('%s', async (_name, who, code) => {
    expect((await agentctl(['pki', 'issue', '--dir', ca, ...who, '--out', join(directory, 'x')])).code).toBe(code);
  });

  test('a directory without a CA', async () => {
    const ran = await agentctl(['pki', 'issue', '--dir', join(directory, 'none'), '--node', 'a', '--out', join(directory, 'x')]);
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('Try: agentctl pki init') });
  });

  test('a foreign CA that names no cluster', async () => {
    const foreign = join(directory, 'foreign');
    await agentctl(['pki', 'init', '--cluster', 'other', '--dir', foreign]);
    writeFileSync(join(foreign, 'ca.crt'), read(gpu1, 'node.crt'));
    const ran = await agentctl(['pki', 'issue', '--dir', foreign, '--node', 'a', '--out', join(directory, 'x')]);
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('ca.crt or ca.key cannot be used') });
  });
});

describe('--host', () => {
  const startTls = async (node = gpu1) =>
    await startFakeControl({}, { ca: read(ca, 'ca.crt'), cert: read(node, 'node.crt'), key: read(node, 'node.key') });
  const files = (of: string) => ['--ca', join(of, 'ca.crt'), '--cert', join(of, 'node.crt'), '--key', join(of, 'node.key')];
  const configOf = (port: number) => {
    const path = join(directory, 'agent.yaml');
    const pki = `{ ca: ${gpu1}/ca.crt, cert: ${gpu1}/node.crt, key: ${gpu1}/node.key }`;
    writeFileSync(
      path,
      `node: { id: gpu1 }\ncluster: { name: lab, nodes: [{ id: gpu1, address: 127.0.0.1 }] }\npki: ${pki}\nports: { peer: ${port} }\n`,
    );
    return path;
  };

  test('an operator reaches a node by address and --node, the cluster name comes from the own certificate', async () => {
    fake = await startTls();
    const ran = await agentctl(['status', '--host', `127.0.0.1:${fake.port}`, '--node', 'gpu1', ...files(ann)]);
    expect(ran).toMatchObject({ code: 0, err: '' });
  });

  test('a node id is resolved through the configuration, with its certificates and port', async () => {
    fake = await startTls();
    expect(await agentctl(['status', '--host', 'gpu1', '--config', configOf(fake.port)])).toMatchObject({ code: 0, err: '' });
    expect(await agentctl(['--host', '127.0.0.1', 'status', '--config', configOf(fake.port)])).toMatchObject({ code: 0, err: '' });
  });

  test('another node behind the address is refused', async () => {
    fake = await startTls();
    const ran = await agentctl(['status', '--host', `127.0.0.1:${fake.port}`, '--node', 'gpu2', ...files(ann)]);
    expect(ran.code).toBe(4);
    expect(ran.err).toContain('its certificate names another node');
  });

  test('an agent of another CA is refused', async () => {
    const other = join(directory, 'other-ca');
    const eve = join(directory, 'eve');
    await agentctl(['pki', 'init', '--cluster', 'lab', '--dir', other]);
    await agentctl(['pki', 'issue', '--dir', other, '--operator', 'eve', '--out', eve]);
    fake = await startTls();
    const ran = await agentctl(['status', '--host', `127.0.0.1:${fake.port}`, '--node', 'gpu1', ...files(eve)]);
    expect(ran.code).toBe(4);
    expect(ran.err).toContain('the certificates do not fit');
  });

  test('an address of which nobody knows the node is a usage error', async () => {
    const ran = await agentctl(['status', '--host', '127.0.0.1:1', ...files(ann)]);
    expect(ran).toMatchObject({ code: 64, err: expect.stringContaining('add --node ID') });
  });

  test('missing certificates are named with their option', async () => {
    const ran = await agentctl(['status', '--host', 'gpu1', '--cert', '/nonexistent.crt']);
    expect(ran).toMatchObject({ code: 4, err: expect.stringContaining('/nonexistent.crt\nTry: name the file with --cert') });
  });
});

describe('changing the CA', () => {
  const dir = join(directory, 'changing');
  const node = join(directory, 'changing-gpu1');
  const certificates = (path: string) => (readFileSync(path, 'utf8').match(/BEGIN CERTIFICATE/g) ?? []).length;
  const rotate = (step: string) => agentctl(['pki', 'rotate', '--dir', dir, '--step', step]);
  const issue = (...more: string[]) => agentctl(['pki', 'issue', '--dir', dir, '--node', 'gpu1', '--out', node, ...more]);
  const signedBy = (cert: X509Certificate, ca: Buffer) => cert.verify(new X509Certificate(ca).publicKey);

  test('takes three steps, in this order only; certificates of the step before are trusted in every one', async () => {
    await agentctl(['pki', 'init', '--cluster', 'lab', '--dir', dir]);
    await issue();
    const old = new X509Certificate(read(node, 'node.crt'));
    const first = read(dir, 'ca.crt');
    for (const early of ['switch', 'finish'])
      expect(await rotate(early)).toMatchObject({ code: 1, err: expect.stringContaining('begin, switch, finish') });

    expect(await rotate('begin')).toMatchObject({ code: 0, out: expect.stringContaining('--step switch') });
    expect(certificates(join(dir, 'ca.crt'))).toBe(2);
    expect(await rotate('begin')).toMatchObject({ code: 1, err: expect.stringContaining('under way') });
    // Both are trusted, the old one signs.
    expect(await issue('--renew')).toMatchObject({ code: 0, err: '' });
    expect(signedBy(new X509Certificate(read(node, 'node.crt')), first)).toBe(true);

    expect(await rotate('switch')).toMatchObject({ code: 0, out: expect.stringContaining('--renew') });
    expect(await issue()).toMatchObject({ code: 1, err: expect.stringContaining('--renew') });
    expect(await issue('--renew')).toMatchObject({ code: 0, err: '' });
    const renewed = new X509Certificate(read(node, 'node.crt'));
    expect(signedBy(renewed, first)).toBe(false);
    expect(signedBy(renewed, read(dir, 'ca.crt'))).toBe(true);
    expect(certificates(join(node, 'ca.crt'))).toBe(2);
    expect(statSync(join(node, 'node.key')).mode & 0o777).toBe(0o600);

    expect(await rotate('finish')).toMatchObject({ code: 0, err: '' });
    expect(certificates(join(dir, 'ca.crt'))).toBe(1);
    expect(signedBy(renewed, read(dir, 'ca.crt'))).toBe(true);
    expect(signedBy(old, read(dir, 'ca.crt'))).toBe(false);
    expect(await rotate('begin')).toMatchObject({ code: 0 });
  });
});
