// `make deb`: builds dist/ollama-ha_VERSION_ARCH.deb.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildPackage } from './package.ts';

const dist = join(import.meta.dirname, '../../dist');
const file = await buildPackage(dist);
rmSync(join(dist, 'ollama-ha'));
process.stdout.write(`${file}\n`);
