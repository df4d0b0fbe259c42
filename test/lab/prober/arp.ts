// Asks by ARP who has the VIP, from inside the client host, and stamps each answer with the time it arrived.
// Usage: node arp.ts ARPING ADDRESS EVERY_MS; prints one JSON array per answer: [at, mac].
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { monoMs } from '../names.ts';

const [arping = '', address = '', everyMs = '5'] = process.argv.slice(2);
const child = spawn(arping, ['-W', String(Number(everyMs) / 1000), '-i', 'eth0', address], { stdio: ['ignore', 'pipe', 'inherit'] });
createInterface({ input: child.stdout }).on('line', (line) => {
  const mac = /^\d+ bytes from ([0-9a-f:]{17}) /.exec(line)?.[1];
  if (mac !== undefined) process.stdout.write(`${JSON.stringify([monoMs(), mac])}\n`);
});
child.once('error', (error) => {
  process.stderr.write(`arping: ${error.message}\n`);
  process.exitCode = 1;
});
child.once('exit', (code) => {
  if (code !== null) process.exitCode = code === 0 || ending ? 0 : 1;
});
let ending = false;
process.once('SIGTERM', () => {
  ending = true;
  child.kill('SIGTERM');
});
