// A signal that comes while the agent still starts: whatever it has started by then must not stay behind.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ScaleAgent, type ScaleCluster, startAgents, until } from '../bench/scale/agents.ts';

let cluster: ScaleCluster;

beforeAll(async () => {
  cluster = await startAgents({ count: 1, candidates: 0 });
}, 60_000);
afterAll(() => cluster?.end(), 60_000);

const endOf = (agent: ScaleAgent) =>
  new Promise<unknown>((resolve) => agent.process.once('exit', (code, signal) => resolve(code ?? signal)));

test('an agent that is stopped while it starts takes its managed Redis with it', async () => {
  const [first] = cluster.agents;
  if (first === undefined) throw new Error('one agent');
  const pidFile = join(first.dir, 'run/redis.pid');
  const ended = endOf(first);
  first.process.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(existsSync(pidFile)).toBe(false);

  const second = await cluster.start({ id: first.id, address: first.address }, false);
  await until(20_000, 'no managed Redis starts', () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim() !== '');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  const secondEnded = endOf(second);
  second.process.kill('SIGTERM');
  expect(await secondEnded).toBe(0);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
}, 60_000);
