// What must be true of keepalived before it may carry the address. Several of these fail silently in keepalived itself.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { INSTANCE } from '../core/vip/keepalived-conf.ts';
import { instanceBlock, plainText, readOr, readWhole, type WholeFile } from './keepalived-file.ts';

/** Where our part of the configuration is put, to be included. */
export const INCLUDED = '/etc/keepalived/ollama-ha.conf';

/** One thing that was looked at. `problem` '' = it is as it should be. */
export type CheckRow = { readonly what: string; readonly problem: string; readonly hint: string };

/** What is looked at. */
export type CheckOptions = {
  /** The file keepalived is started with; what it includes counts. */
  readonly file: string;
  readonly script: string;
  /** File with the service's DAEMON_ARGS; its absence is fine. */
  readonly daemonOptions: string;
  /** Drop-in of the service that takes the addresses off when it has ended; its absence is fine. */
  readonly stopHook?: string;
  /** The FIFO the agent reads. */
  readonly fifo?: string;
  /** Addresses with prefix lengths. */
  readonly vips?: readonly string[];
};

/** How a program is started: itself, or inside something else. */
export type Launch = (program: string, args: readonly string[]) => readonly [string, readonly string[]];

const RUN_MS_MAX = 5000;
const RENDER_HINT = 'agentctl keepalived install writes the right one';

/** Looks at the configuration, at the options keepalived is started with, at its stop hook, and at the dead-man script. */
export async function checkKeepalived(
  options: CheckOptions,
  launch: Launch = (program, args) => [program, args],
): Promise<readonly CheckRow[]> {
  const whole = readWhole(options.file);
  if (whole === null)
    return [{ what: options.file, problem: 'cannot be read', hint: RENDER_HINT }, ...(await scriptRows(options.script, launch))];
  return [
    ...fileRows(options, whole),
    ...instanceRows(options, plainText(whole.text)),
    await syntaxRow(whole.text, launch),
    daemonRow(options.daemonOptions),
    ...hookRows(options),
    ...(await scriptRows(options.script, launch)),
  ];
}

function fileRows(options: CheckOptions, whole: WholeFile): readonly CheckRow[] {
  const executable = whole.files.find((path) => (statSync(path).mode & 0o111) !== 0);
  const absent = whole.missing[0];
  return [
    {
      what: `${options.file} is not executable${whole.files.length > 1 ? ', nor what it includes' : ''}`,
      problem: executable === undefined ? '' : `${executable} is, and keepalived ignores such a file without an error`,
      hint: `chmod 0644 ${executable}`,
    },
    ...(absent === undefined ? [] : [{ what: 'what it includes is there', problem: `${absent} cannot be read`, hint: RENDER_HINT }]),
  ];
}

function instanceRows(options: CheckOptions, plain: string): readonly CheckRow[] {
  const row = (what: string, good: boolean, problem: string, hint = RENDER_HINT): CheckRow => ({
    what,
    problem: good ? '' : problem,
    hint,
  });
  const block = instanceBlock(plain, INSTANCE);
  const include = `agentctl keepalived install writes it; in a file of your own, add: include ${INCLUDED}`;
  if (block === '') return [row(`${options.file} has the instance ${INSTANCE}`, false, 'it does not', include)];
  const adverts = Number(/\bdown_timer_adverts\s+(\d+)/.exec(block)?.[1] ?? Number.NaN);
  const lost = (options.vips ?? []).find((vip) => !block.split(/\s+/).includes(vip));
  const fifos = [...plain.matchAll(/\b(?:vrrp_)?notify_fifo\s+"?([^\s"]+)/g)].map(([, path]) => path);
  return [
    row(`${options.file} has the instance ${INSTANCE}`, true, ''),
    row('VRRP version 3', /\bversion\s+3\b/.test(block) || /\bvrrp_version\s+3\b/.test(plain), 'version 2 delays by up to a second'),
    row('advert_int', /\badvert_int\s+0\.\d+/.test(block), 'it is missing or a second and more'),
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
    row('no nopreempt', !/\bnopreempt\b/.test(block), 'it is there: the newest lease could not win'),
    ...(options.vips === undefined ? [] : [row('every virtual address stands in it', lost === undefined, `${lost} does not`)]),
    ...(options.fifo === undefined
      ? []
      : [
          row(
            `it reports through ${options.fifo}`,
            fifos.includes(options.fifo),
            'it does not, so the agent takes keepalived for stopped',
            `add to global_defs: vrrp_notify_fifo ${options.fifo} USER GROUP, with the agent's user`,
          ),
        ]),
  ];
}

/** `keepalived -t` on a copy in which every script belongs to root: with another user it ends by its own signal (version 2.2.7). */
async function syntaxRow(text: string, launch: Launch): Promise<CheckRow> {
  const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-check-'));
  try {
    const copy = join(dir, 'keepalived.conf');
    writeFileSync(copy, text.replace(/^(\s*script_user\s).*$/gm, '$1root').replace(/^(\s*user\s+)\S.*$/gm, '$1root'), { mode: 0o644 });
    const { code, output } = await run(...launch('keepalived', ['-t', '-f', copy]));
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

/** A drop-in made for one address must name the others too. */
function hookRows(options: CheckOptions): readonly CheckRow[] {
  const text = options.stopHook === undefined ? null : readOr(options.stopHook);
  if (text === null) return [];
  const words = text.replaceAll(/^\s*#.*$/gm, '').split(/[\s=]+/);
  const lost = (options.vips ?? []).map((vip) => vip.split('/')[0] ?? vip).find((address) => !words.includes(address));
  return [
    {
      what: 'the stop hook of the service takes every address off',
      problem: lost === undefined ? '' : `${options.stopHook} does not name ${lost}`,
      hint: 'set VIP_ADDRESS in it; for each further address add a line: ExecStopPost=/usr/sbin/ip address flush to ADDRESS dev NAME',
    },
  ];
}

function daemonRow(path: string): CheckRow {
  const keeps = /(^|\s|")(-V|--dont-release-vrrp)\b/m.test(readOr(path)?.replaceAll(/^\s*#.*$/gm, '') ?? '');
  return {
    what: 'keepalived releases the address when it stops',
    problem: keeps ? 'it is started with -V' : '',
    hint: `remove -V from ${path}`,
  };
}

async function scriptRows(script: string, launch: Launch): Promise<readonly CheckRow[]> {
  const what = `${script} would run`;
  const problem = placeProblem(script);
  if (problem !== '')
    return [{ what, problem, hint: 'keepalived goes on without the script and says nothing: install it anew, owned by root, mode 0755' }];
  return [{ what, problem: '', hint: '' }, await trialRow(script, launch)];
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
async function trialRow(script: string, launch: Launch): Promise<CheckRow> {
  const what = 'the dead-man script tells a dead agent from a standby';
  const hint = 'install the script of this version anew';
  const dir = mkdtempSync(join(tmpdir(), 'ollama-ha-check-'));
  try {
    const idle = await run(...launch(script, [dir]));
    writeFileSync(join(dir, 'lease'), '1\n');
    writeFileSync(join(dir, 'deadline'), '1\n');
    const expired = await run(...launch(script, [dir]));
    writeFileSync(join(dir, 'deadline'), '999999999999\n');
    const fresh = await run(...launch(script, [dir]));
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
