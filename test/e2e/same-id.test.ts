// Two agents that claim one node id, as real processes on loopback: a copied configuration file is the usual cause.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { linesOf, type ScaleCluster, startAgents, until } from '../bench/scale/agents.ts';

let cluster: ScaleCluster;

beforeAll(async () => {
  cluster = await startAgents({
    count: 2,
    candidates: 0,
    config: { redis: { managed: false, servers: [{ host: '127.0.0.1', port: 9, tls: false }] } },
  });
}, 60_000);
afterAll(() => cluster?.end(), 60_000);

test('a second agent under a node id in use ends with code 78 and says where the other one is; the first one stays', async () => {
  const [first, witness] = cluster.agents;
  if (first === undefined || witness === undefined) throw new Error('two agents');
  await until(20_000, 'the two do not find each other', () => linesOf(witness).some((line) => line.event === 'member_alive'));
  const newcomer = await cluster.start({ id: first.id, address: first.address.replace(/\.1$/, '.9') }, false);
  const ended = await new Promise((resolve) => newcomer.process.once('exit', resolve));
  expect(ended).toBe(78);
  expect(newcomer.text()).toContain(`node id ${first.id} is in use by two agents; the other one is at ${first.address}:11440`);
  expect(newcomer.text()).toContain('give this node its own node.id, or stop the other agent');
  expect(first.process.exitCode).toBe(null);
  // Its view is whole again: the newcomer did not take the name with it.
  await until(20_000, 'the first one is not alive again', () => {
    const events = linesOf(witness).filter((line) => line.event.startsWith('member_') && line.node === first.id);
    return events.at(-1)?.event === 'member_alive';
  });
}, 60_000);
