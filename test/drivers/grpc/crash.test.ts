import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linkOf, startAgent, type TestAgent } from './agents.ts';
import { createPki, type Pki } from './pki.ts';

let pki: Pki;
const children: ChildProcess[] = [];

beforeAll(async () => {
  pki = await createPki();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await pki.remove();
});

async function startChild(m: TestAgent, id: string): Promise<ChildProcess> {
  const files = await pki.issue(`${id}.lab.ollama-ha`);
  const script = fileURLToPath(new URL('./child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, id, 'm', m.address, files.ca, files.cert, files.key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = await once(child.stdout, 'data');
  m.peers.dial(id, `127.0.0.1:${Number(String(line))}`);
  await m.wait(linkOf(id, true));
  return child;
}

describe('a peer in a process of its own', () => {
  test.each([
    { ids: ['b', 'c', 'd'], side: 'that dialled the stream' },
    { ids: ['x', 'y', 'z'], side: 'that was dialled' },
  ])('killed with -9, the one $side, is hard evidence within 100 ms', async ({ ids }) => {
    const m = await startAgent(pki, 'm');
    const took: number[] = [];
    for (const id of ids) {
      const child = await startChild(m, id);
      const at = performance.now();
      child.kill('SIGKILL');
      expect(await m.wait(linkOf(id, false))).toEqual({ k: 'link', peer: id, up: false, hard: true });
      took.push(performance.now() - at);
    }
    await m.peers.close();
    // The best of three: other tests share the processors.
    expect(Math.min(...took)).toBeLessThan(100);
  });

  test('stopped, it shakes no hands although its kernel still accepts, and its stream breaks within 2 s', async () => {
    const m = await startAgent(pki, 'm');
    const child = await startChild(m, 'b');
    child.kill('SIGSTOP');
    const at = performance.now();
    m.peers.directProbe('b');
    expect(await m.wait((f) => f.k === 'dialled')).toMatchObject({ ok: false });
    expect(performance.now() - at).toBeLessThan(600);
    expect(await m.wait(linkOf('b', false))).toMatchObject({ hard: true });
    expect(performance.now() - at).toBeLessThan(2_500);
    const since = m.facts.length;
    child.kill('SIGCONT');
    const back = performance.now();
    await m.wait(linkOf('b', true), since);
    expect(performance.now() - back).toBeLessThan(1_500);
    await m.peers.close();
  });

  test('stopped, it does not hold up our own orderly end', async () => {
    const m = await startAgent(pki, 'm');
    const child = await startChild(m, 'b');
    child.kill('SIGSTOP');
    await m.wait(linkOf('b', false));
    const at = performance.now();
    await m.peers.close();
    expect(performance.now() - at).toBeLessThan(1_500);
  });
});
