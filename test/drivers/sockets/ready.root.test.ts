// The waiting `ss -K` against real connections over loopback, on an address that nothing else here uses.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSocketKiller, type SocketKiller } from '../../../src/drivers/sockets/ready.ts';

const ADDRESS = '127.77.0.100';
let server: Server;
let killer: SocketKiller | null = null;

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => {}));
  server.listen(0, ADDRESS);
  await once(server, 'listening');
});
afterEach(async () => {
  killer?.close();
  killer = null;
  server.close();
});

/** A connection whose reader waits, and how it ends: 'ECONNRESET', or what else ended it. */
async function reader(): Promise<{ readonly socket: Socket; readonly end: Promise<string> }> {
  const at = server.address();
  if (at === null || typeof at === 'string') throw new Error('no port');
  const socket = connect(at.port, ADDRESS);
  await once(socket, 'connect');
  const end = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    socket.on('close', () => resolve('closed'));
  });
  return { socket, end };
}

test('resets the connections of its address, every time it is asked, and leaves all others alone', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const port = (other.address() as { port: number }).port;
  const stays = connect(port, '127.0.0.1');
  await once(stays, 'connect');
  killer = openSocketKiller([ADDRESS]);
  for (let i = 0; i < 2; i++) {
    const { end } = await reader();
    expect(await killer.kill(2000)).toEqual({ ok: true });
    expect(await end).toBe('ECONNRESET');
  }
  expect(stays.destroyed).toBe(false);
  stays.destroy();
  other.close();
});

test('the death of its owner sets it off; a close does not', async () => {
  const module = new URL('../../../src/drivers/sockets/ready.ts', import.meta.url).href;
  const script = `const { openSocketKiller } = await import(${JSON.stringify(module)}); openSocketKiller(['${ADDRESS}']); setInterval(() => {}, 1000); setTimeout(() => console.log('ready'), 300);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(owner.stdout, 'data');
  const { socket, end } = await reader();
  killer = openSocketKiller([ADDRESS]);
  killer.close();
  const first = await Promise.race([end, delay(300, 'open')]);
  expect([first, socket.destroyed]).toEqual(['open', false]);
  owner.kill('SIGKILL');
  expect(await end).toBe('ECONNRESET');
});

test('without the program it says so', async () => {
  killer = openSocketKiller([ADDRESS], '/nonexistent/ss');
  expect((await killer.kill(500)).ok).toBe(false);
});
