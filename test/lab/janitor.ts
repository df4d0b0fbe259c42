// Outlives the process that built a lab, and ends the lab when that process is gone. Usage: node janitor.ts LAB_ID OWNER_PID
// Its input is a pipe from the owner that nobody writes to: it ends when the owner does, even by kill -9.
import { destroyLab, isOwnedBy } from './teardown.ts';

const [id = '', owner = ''] = process.argv.slice(2);
process.stdin.on('error', () => undefined);
process.stdin.resume();
process.stdin.once('close', () => {
  if (isOwnedBy(id, Number(owner))) destroyLab(id);
});
