import { readFile } from 'node:fs/promises';
import { type ClientReadableStream, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HealthCheckResponse, HealthClient } from '../../../src/gen/health.ts';
import { startAgent, type TestAgent } from './agents.ts';
import { createPki, type Pki } from './pki.ts';

let pki: Pki;
let agent: TestAgent;
let client: HealthClient;
let serving = true;

beforeAll(async () => {
  pki = await createPki();
  agent = await startAgent(pki, 'm', { serving: () => serving });
  const files = await pki.issue('alice.operator.lab.ollama-ha');
  const [ca, key, cert] = await Promise.all([readFile(files.ca), readFile(files.key), readFile(files.cert)]);
  const host = 'm.lab.ollama-ha';
  client = new HealthClient(agent.address, credentials.createSsl(ca, key, cert), { 'grpc.ssl_target_name_override': host });
});
afterAll(async () => {
  client.close();
  await agent.peers.close();
  await pki.remove();
});

function next(call: ClientReadableStream<HealthCheckResponse>): Promise<string> {
  return new Promise((resolve, reject) => {
    call.once('data', ({ status }: HealthCheckResponse) => resolve(status));
    call.once('error', reject);
  });
}

describe('the health service', () => {
  test('tells a watcher the status now and every change of it', async () => {
    const call = client.watch({ service: '' });
    expect(await next(call)).toBe('SERVING');
    serving = false;
    expect(await next(call)).toBe('NOT_SERVING');
    serving = true;
    expect(await next(call)).toBe('SERVING');
    const over = new Promise((resolve) => call.on('error', resolve));
    call.cancel();
    await over;
  });

  test('calls a service unknown that is not here, and refuses a watcher too many until one leaves', async () => {
    const calls: ClientReadableStream<HealthCheckResponse>[] = [];
    const open = async () => {
      const call = client.watch({ service: 'ollama_ha.v1.Control' });
      calls.push(call);
      return next(call).catch((error: { code: number }) => error.code);
    };
    let told = await open();
    while (told === 'SERVICE_UNKNOWN' && calls.length < 20) told = await open();
    expect(told).toBe(8);
    expect(calls.length).toBe(17);
    for (const call of calls) {
      call.on('error', () => {});
      call.cancel();
    }
    await expect.poll(() => next(client.watch({ service: '' })).catch(() => 'refused')).toBe('SERVING');
  });
});
