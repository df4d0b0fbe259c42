// One part of the load on a lab host. Usage: node load-process.ts memory SHARE | node load-process.ts copy JSON_OF_COMMANDS
import { spawnSync } from 'node:child_process';
import { freemem } from 'node:os';

const [what = '', argument = ''] = process.argv.slice(2);
const pieceBytes = 64 * 1024 * 1024;

if (what === 'copy') {
  const commands: string[][] = JSON.parse(argument);
  for (const [file = '', ...args] of commands) spawnSync(file, args, { stdio: 'ignore' });
} else {
  const wanted = freemem() * Number(argument);
  const pieces: Buffer[] = [];
  for (let value = 0; ; value = (value + 1) % 256) {
    if (pieces.length * pieceBytes < wanted) pieces.push(Buffer.allocUnsafe(pieceBytes));
    for (const piece of pieces) piece.fill(value);
  }
}
