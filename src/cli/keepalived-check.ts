// What must be true of keepalived before it may carry the address. Several of these fail silently in keepalived itself.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** One thing that was looked at. `problem` '' = it is as it should be. */
export type CheckRow = { readonly what: string; readonly problem: string; readonly hint: string };

const RUN_MS_MAX = 5000;
const RENDER_HINT = 'agentctl keepalived render --out FILE writes the right one';

/** Looks at the configuration file, at the options keepalived is started with, and at the dead-man script. */
export async function checkKeepalived(paths: {
  readonly file: string;
  readonly script: string;
  /** File with the service's DAEMON_ARGS; its absence is fine. */
  readonly daemonOptions: string;
}): Promise<readonly CheckRow[]> {
  const text = readOr(paths.file);
  if (text === null) return [{ what: paths.file, problem: 'cannot be read', hint: RENDER_HINT }, ...(await scriptRows(paths.script))];
  return [...fileRows(paths.file, text), await syntaxRow(text), daemonRow(paths.daemonOptions), ...(await scriptRows(paths.script))];
}

function fileRows(file: string, text: string): readonly CheckRow[] {
  const plain = text.replaceAll(/[#!].*$/gm, '');
  const adverts = Number(/\bdown_timer_adverts\s+(\d+)/.exec(plain)?.[1] ?? Number.NaN);
  const executable = (statSync(file).mode & 0o111) !== 0;
  const row = (what: string, good: boolean, problem: string): CheckRow => ({ what, problem: good ? '' : problem, hint: RENDER_HINT });
  return [
    {
      what: `${file} is not executable`,
      problem: executable ? 'it is, and keepalived ignores such a file without an error' : '',
      hint: `chmod 0644 ${file}`,
    },
    row('vrrp_version 3', /\bvrrp_version\s+3\b/.test(plain), 'version 2 delays by up to a second'),
    row('advert_int', /\badvert_int\s+0\.\d+/.test(plain), 'it is missing or a second and more'),
    row('down_timer_adverts of 2 or more', adverts >= 2, 'with one advert a short stall steals the address'),
    row(
      'the lease file keeps the node in FAULT',
      /\bweight\s+0\s+reverse\b/.test(plain),
      '"weight 0 reverse" is missing: without a file the node would be MASTER',
    ),
    row(
      'the track files are zeroed at start',
      (plain.match(/\binit_file\s+0\s+overwrite\b/g)?.length ?? 0) >= 2,
      '"init_file 0 overwrite" is missing: a stale claim would survive a restart',
    ),
    row('no nopreempt', !/\bnopreempt\b/.test(plain), 'it is there: the newest lease could not win'),
  ];
}

/** `keepalived -t` on a copy with `script_user root`: with another user it ends by its own signal (version 2.2.7). */
async function syntaxRow(text: string): Promise<CheckRow> {
  const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-check-'));
  try {
    const copy = join(dir, 'keepalived.conf');
    writeFileSync(copy, text.replace(/^(\s*script_user\s).*$/m, '$1root'), { mode: 0o644 });
    const { code, output } = await run('keepalived', ['-t', '-f', copy]);
    const said = output.split('\n').find((line) => line.trim() !== '') ?? '';
    return {
      what: 'keepalived accepts the file',
      problem: code === 0 ? '' : `keepalived -t ended with ${code}: ${said}`,
      hint: RENDER_HINT,
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function daemonRow(path: string): CheckRow {
  const keeps = /(^|\s|")(-V|--dont-release-vrrp)\b/m.test(readOr(path)?.replaceAll(/^\s*#.*$/gm, '') ?? '');
  return {
    what: 'keepalived releases the address when it stops',
    problem: keeps ? 'it is started with -V' : '',
    hint: `remove -V from ${path}`,
  };
}

async function scriptRows(script: string): Promise<readonly CheckRow[]> {
  const what = `${script} would run`;
  const problem = placeProblem(script);
  if (problem !== '')
    return [{ what, problem, hint: 'keepalived goes on without the script and says nothing: install it anew, owned by root, mode 0755' }];
  return [{ what, problem: '', hint: '' }, await trialRow(script)];
}

/** keepalived disables a script that is missing, not executable, or that somebody else than root could replace. */
function placeProblem(script: string): string {
  try {
    const file = statSync(script);
    if (!file.isFile()) return 'it is not a regular file';
    if ((file.mode & 0o111) !== 0o111) return 'it is not executable by everybody';
    for (let at = script; ; at = dirname(at)) {
      const { uid, mode } = statSync(at);
      if (uid !== 0 || (mode & 0o022) !== 0) return `${at} can be changed by others than root`;
      if (at === dirname(at)) return '';
    }
  } catch {
    return 'it is not there, or cannot be read';
  }
}

/** Runs it by hand on a directory of our own: it must pass without a claim, and fail on a limit in the past. */
async function trialRow(script: string): Promise<CheckRow> {
  const what = 'the dead-man script tells a dead agent from a standby';
  const hint = 'install the script of this version anew';
  const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-check-'));
  try {
    const idle = await run(script, [dir]);
    writeFileSync(join(dir, 'lease'), '1\n');
    writeFileSync(join(dir, 'deadline'), '1\n');
    const expired = await run(script, [dir]);
    writeFileSync(join(dir, 'deadline'), '999999999999\n');
    const fresh = await run(script, [dir]);
    const found = [
      idle.code === 0 ? '' : 'it fails without a claim',
      expired.code === 1 ? '' : 'it passes after its limit',
      fresh.code === 0 ? '' : 'it fails before its limit',
    ];
    return { what, problem: found.filter((text) => text !== '').join(', '), hint };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function run(program: string, args: readonly string[]): Promise<{ readonly code: number | string; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: RUN_MS_MAX, killSignal: 'SIGKILL', maxBuffer: 1024 * 1024 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? 'no code'), output: `${err}${out}` });
    });
  });
}

function readOr(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
