// The runner of one loaded model, as small as a process can be: GET /health, and GET /completion that sends one byte for
// each token. The server starts it with this source on stdin, as it is: so it holds no type annotation, and a runner needs
// no TypeScript compiler (20 MB).
// argv: --model FILE --port N. Environment: FAKE_LOAD_MS, FAKE_ORPHAN_MS, FAKE_LOAD_FAILS. On stdout: `ready` once loaded.
// Descriptor 3 is a pipe from the parent: when it closes, the parent is dead.
import { writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';

const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
const loadMs = Number(process.env.FAKE_LOAD_MS ?? 0);
const orphanMs = Number(process.env.FAKE_ORPHAN_MS ?? 5000);
let loaded = false;

try {
  // The name that ps and /proc/PID/comm show; the arguments stay as they are.
  writeFileSync('/proc/self/comm', 'llama-server');
} catch {
  // Not Linux: the name stays.
}

const server = createServer({ noDelay: true }, (socket) => {
  let head = '';

  const health = () => {
    const body = loaded ? '{"status":"ok"}' : '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}';
    const status = loaded ? '200 OK' : '503 Service Unavailable';
    const top = `HTTP/1.1 ${status}\r\nServer: llama.cpp\r\nContent-Type: application/json; charset=utf-8`;
    socket.end(`${top}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
  };

  const complete = () => {
    const query = new URLSearchParams(head.split(' ')[1]?.split('?')[1]);
    const tokens = Number(query.get('tokens'));
    const gapMs = Number(query.get('gapMs'));
    const stallAfter = Number(query.get('stallAfter') ?? -1);
    // As the real one, it sends its header with the first token.
    let top = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n';
    let sent = 0;
    const next = () => {
      if (socket.destroyed || sent === stallAfter) return;
      const rest = (stallAfter < 0 ? tokens : Math.min(tokens, stallAfter)) - sent;
      const batch = gapMs > 0 ? Math.min(1, rest) : rest;
      sent += batch;
      const out = top + 't'.repeat(batch);
      top = '';
      if (sent >= tokens) socket.end(out);
      else {
        socket.write(out);
        setTimeout(next, gapMs);
      }
    };
    setTimeout(next, Number(query.get('firstMs')));
  };

  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    if (head.length > 4096) return;
    head += bytes.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    if (head.startsWith('GET /health ')) health();
    else if (head.startsWith('GET /completion?')) complete();
    else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
});

server.listen(port, '127.0.0.1', () => {
  setTimeout(() => {
    if (process.env.FAKE_LOAD_FAILS === '1') process.exit(1);
    loaded = true;
    process.stdout.write('ready\n');
  }, loadMs);
});

if (orphanMs > 0) {
  // A socket, not a file stream: a read that blocks in a thread would hold process.exit.
  const parent = new Socket({ fd: 3, readable: true });
  const gone = () => void setTimeout(() => process.exit(0), orphanMs);
  parent.on('error', gone);
  parent.on('close', gone);
  parent.resume();
}
