// `make conformance`: the fake against the recordings, all of them. `make conformance OLLAMA=URL [MODEL=NAME]`: a real server against them,
// as far as that changes nothing: one line for each recording. Ends with 1 when an answer differs or something has changed.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { askServer, type Finding } from './live/ask.ts';
import { recordedNames } from './recordings.ts';

const url = process.env.OLLAMA ?? '';
process.exitCode = url === '' ? fake() : await server(url, process.env.MODEL || null);

function fake(): number {
  const root = join(import.meta.dirname, '../../..');
  const ran = spawnSync('vitest', ['run', '--project', 'anywhere', 'test/contract/ollama'], { cwd: root, stdio: 'inherit' });
  if (ran.status === 0)
    process.stdout.write(
      `\nThe fake answers as recorded: ${recordedNames().length} of ${recordedNames().length} recordings, none left out.\n`,
    );
  return ran.status ?? 1;
}

async function server(at: string, model: string | null): Promise<number> {
  try {
    const { version, subject, findings, changed } = await askServer(at, model);
    const asked =
      typeof subject === 'string'
        ? `no model: ${subject}`
        : `model ${subject.model}${subject.own ? ', loaded for this run' : ', found loaded'}`;
    process.stdout.write(`Ollama ${version} at ${at}; ${asked}\n\n`);
    for (const finding of [...findings].sort((a, b) => order(a) - order(b))) process.stdout.write(`${lineOf(finding)}\n`);
    const count = (k: Finding['k']) => findings.filter((finding) => finding.k === k).length;
    process.stdout.write(
      `\n${count('same')} as recorded, ${count('differs')} differ, ${count('not asked')} not asked, of ${findings.length}\n`,
    );
    if (changed.length > 0) process.stdout.write(`NOT AS BEFORE: the ${changed.join(' and ')} models\n`);
    return count('differs') > 0 || changed.length > 0 ? 1 : 0;
  } catch (error) {
    process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function order(finding: Finding): number {
  return ['not asked', 'same', 'differs'].indexOf(finding.k);
}

function lineOf(finding: Finding): string {
  if (finding.k === 'same') return `same       ${finding.name}`;
  if (finding.k === 'not asked') return `not asked  ${finding.name}: ${finding.why}`;
  return [`DIFFERS    ${finding.name}`, ...finding.how.map((line) => `           ${line}`)].join('\n');
}
