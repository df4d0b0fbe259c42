// `make test`: verify first, then every test that this user can run. The last line is "N passed, N failed".
import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const isRoot = process.getuid?.() === 0;

type Tally = { readonly passed: number; readonly failed: number; readonly note: string };

function verify(): boolean {
  return spawnSync(process.execPath, [join(import.meta.dirname, 'verify.ts')], { cwd: root, stdio: 'inherit' }).status === 0;
}

/** Runs vitest and counts by its JSON report: a file that could not be loaded, or an error outside a test, counts as one failure. */
function runVitest(): Tally {
  const temp = mkdtempSync(join(tmpdir(), 'ollama-ha-tests-'));
  const report = join(temp, 'report.json');
  try {
    const projects = isRoot ? [] : ['--project', 'anywhere'];
    const args = ['run', ...projects, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { status } = spawnSync('vitest', args, { cwd: root, stdio: 'inherit' });
    return tallyOf(report, status);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

function tallyOf(report: string, status: number | null): Tally {
  let results: {
    numPassedTests: number;
    numFailedTests: number;
    testResults: { status: string; assertionResults: { status: string }[] }[];
  };
  try {
    results = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, note: `vitest left no report (code ${status})` };
  }
  const unloadable = results.testResults.filter(
    (f) => f.status === 'failed' && f.assertionResults.every((t) => t.status !== 'failed'),
  ).length;
  const failed = results.numFailedTests + unloadable;
  const outside = failed === 0 && status !== 0;
  return { passed: results.numPassedTests, failed: failed + (outside ? 1 : 0), note: outside ? `vitest ended with code ${status}` : '' };
}

/** The clean Debian of test/package takes two minutes to download: it is made while everything else runs. */
function prepareCleanRoot(): void {
  if (isRoot) spawn(process.execPath, [join(root, 'test/package/clean-root.ts')], { stdio: 'ignore' }).unref();
}

prepareCleanRoot();
const verified = verify();
const tests = verified ? runVitest() : { passed: 0, failed: 0, note: 'no test was run: verify failed' };
if (!isRoot) {
  const left = globSync('test/**/*.root.test.ts', { cwd: root }).sort();
  process.stdout.write(`not root, so these were left out:\n${left.map((file) => `  ${file}\n`).join('')}`);
}
if (tests.note !== '') process.stdout.write(`${tests.note}\n`);
const failed = tests.failed + (verified ? 0 : 1);
process.stdout.write(`${tests.passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
