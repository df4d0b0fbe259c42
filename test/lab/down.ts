// `make lab-down`: ends every lab on this machine, or only the ones named as arguments.
import { destroyLab, listLabs } from './teardown.ts';

if (process.getuid?.() !== 0) {
  process.stderr.write('lab-down needs root\n');
  process.exit(1);
}
const wanted = process.argv.slice(2);
const labs = listLabs().filter((id) => wanted.length === 0 || wanted.includes(id));
for (const id of labs) destroyLab(id);
process.stdout.write(labs.length === 0 ? 'no lab is running\n' : `ended: ${labs.join(', ')}\n`);
