// Users on the client host. Usage: node stream-process.ts ADDRESS MODEL STREAMS SECONDS. Each stream asks again when its answer ended, until the time
// is over. Prints `first` with the first token of all, and at the end one line of JSON: answers that ended whole, and requests that failed.
import { request } from 'node:http';

const [address = '', model = '', streams = '1', seconds = '3600'] = process.argv.slice(2);
const until = performance.now() + Number(seconds) * 1000;
const count = { answers: 0, failed: 0 };
let spoke = false;

function ask(): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    const sent = request({ host: address, port: 11434, path: '/api/generate', method: 'POST' }, (reply) => {
      reply.setEncoding('utf8');
      reply.on('data', (part: string) => {
        if (!spoke) process.stdout.write('first\n');
        spoke = true;
        // The last line carries the whole context as numbers.
        text = (text + part).slice(-16_384);
      });
      reply.on('close', () => {
        if (text.includes('"done":true')) count.answers += 1;
        else count.failed += 1;
        resolve();
      });
    });
    sent.on('error', () => {
      count.failed += 1;
      resolve();
    });
    sent.end(JSON.stringify({ model, prompt: 'tell me', options: { num_predict: 40 } }));
  });
}

async function user(): Promise<void> {
  while (performance.now() < until) await ask();
}

// Requests that are still under way when the time is over are neither answers nor failures.
const all = Promise.all(Array.from({ length: Number(streams) }, user));
await Promise.race([all, new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000))]);
process.stdout.write(`${JSON.stringify(count)}\n`, () => process.exit(0));
