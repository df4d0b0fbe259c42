// Asks through the VIP on a schedule, from inside the client host: every request on its own connection, none waits for another.
// Usage: node http.ts ADDRESS PORT PATH EVERY_MS TIMEOUT_MS; prints one JSON array per request: [at, latencyMs, error, node].
import { createConnection } from 'node:net';
import { monoMs } from '../names.ts';

const [address = '', port = '', path = '/', everyMs = '20', timeoutMs = '200'] = process.argv.slice(2);
const request = `GET ${path} HTTP/1.1\r\nHost: ${address}:${port}\r\nConnection: close\r\n\r\n`;
const maxAnswerBytes = 1 << 20;

function ask(): void {
  const at = monoMs();
  let answer = '';
  let done = false;
  const finish = (error: string): void => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    connection.destroy();
    const node = /^x-lab-node: *(\S+)/im.exec(answer)?.[1] ?? '';
    process.stdout.write(`${JSON.stringify([at, monoMs() - at, error, node])}\n`);
  };
  const connection = createConnection({ host: address, port: Number(port), noDelay: true }, () => connection.write(request));
  const timer = setTimeout(() => finish('timeout'), Number(timeoutMs));
  connection.setEncoding('latin1');
  connection.on('data', (chunk) => {
    answer += chunk;
    if (answer.length > maxAnswerBytes) finish('too long');
  });
  connection.on('error', (error) => finish('code' in error ? String(error.code) : 'error'));
  connection.on('close', () => finish(judge(answer)));
}

/** A whole answer with status 200, or what was wrong with it. A body cut short must not count as an answer. */
function judge(answer: string): string {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return 'truncated';
  const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'no status';
  if (status !== '200') return `http ${status}`;
  const length = /^content-length: *(\d+)/im.exec(answer.slice(0, end))?.[1];
  const whole = length === undefined ? answer.endsWith('0\r\n\r\n') : answer.length - end - 4 === Number(length);
  return whole ? '' : 'truncated';
}

// The schedule is absolute: a late timer makes up for it instead of thinning the requests out.
const startAt = monoMs();
let sent = 0;
const timer = setInterval(
  () => {
    const due = Math.floor((monoMs() - startAt) / Number(everyMs)) + 1;
    for (; sent < due; sent += 1) ask();
  },
  Math.max(1, Number(everyMs) / 4),
);
process.once('SIGTERM', () => clearInterval(timer)); // open requests still end, then the process does
