// `make verify`: everything that is checked without running tests. Prints what is wrong and ends with code 1; silent checks passed.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

type Check = { readonly name: string; readonly run: () => string };

/** Output of a program that must end with code 0, when it does not; '' when it does. */
function program(argv: readonly string[], expected = ''): string {
  const [file = '', ...args] = argv;
  const out = spawnSync(file, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 });
  const said = `${out.stdout ?? ''}${out.stderr ?? ''}${out.error?.message ?? ''}`;
  if (out.status !== 0) return said || `ended with code ${out.status}`;
  return said.includes(expected) ? '' : `"${expected}" is not in its output:\n${said}`;
}

/** Generated code is what proto/ gives today. */
function generatedIsFresh(): string {
  const temp = mkdtempSync(join(tmpdir(), 'ollama-ha-generated-'));
  try {
    mkdirSync(join(temp, 'proto'));
    execFileSync('buf', ['generate', '-o', join(temp, 'proto')], { cwd: join(root, 'proto'), stdio: 'pipe' });
    const wanted = filesOf(join(temp, 'src/gen'));
    const present = filesOf(join(root, 'src/gen'));
    const stale = [...new Set([...wanted.keys(), ...present.keys()])].filter((name) => wanted.get(name) !== present.get(name));
    return stale.length === 0 ? '' : `src/gen is not what proto/ generates (${stale.join(', ')}): run "make generate"`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

function filesOf(directory: string): Map<string, string> {
  return new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

const checks: readonly Check[] = [
  { name: 'biome', run: () => program(['biome', 'check', '--error-on-warnings', '--max-diagnostics=50']) },
  { name: 'knip', run: () => program(['knip', '--no-progress']) },
  { name: 'tsc', run: () => program(['tsc', '-p', '.']) },
  { name: 'buf lint', run: () => program(['buf', 'lint', 'proto']) },
  { name: 'generated code', run: generatedIsFresh },
  { name: 'main.ts --version', run: () => program(['node', 'src/main.ts', '--version']) },
  { name: 'main.ts agentctl --help', run: () => program(['node', 'src/main.ts', 'agentctl', '--help'], 'status') },
];

let failed = 0;
for (const check of checks) {
  const wrong = check.run();
  if (wrong === '') continue;
  failed += 1;
  process.stderr.write(`verify: ${check.name}:\n${wrong.trimEnd()}\n\n`);
}
process.stdout.write(failed === 0 ? `verify: ${checks.length} checks passed\n` : `verify: ${failed} of ${checks.length} checks failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
