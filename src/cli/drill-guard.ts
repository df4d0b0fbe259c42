// The undoing half of a drill: a process of its own that takes the injection back when agentctl says so, ends, or is killed, and at the latest
// after its time. Loads nothing but node: modules. Its life line is its standard input.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What is taken back. Each part may be done twice without harm. */
export type Undo = {
  /** A process to go on; told apart from a later one of the same number by its start. */
  readonly cont: { readonly pid: number; readonly startTicks: string } | null;
  /** The table of the drill is deleted. */
  readonly table: boolean;
  /** A systemd unit to start. */
  readonly unit: string | null;
};

/** Name of the packet filter's table that cuts the node off. */
export const DRILL_TABLE = 'ollama_ha_drill';

/** As words of a command line, and back. */
export function undoWords(undo: Undo): readonly string[] {
  return [
    ...(undo.cont === null ? [] : [`cont=${undo.cont.pid}:${undo.cont.startTicks}`]),
    ...(undo.table ? ['table'] : []),
    ...(undo.unit === null ? [] : [`unit=${undo.unit}`]),
  ];
}

function undoOf(words: readonly string[]): Undo {
  const value = (key: string) => words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
  const [pid, startTicks = ''] = value('cont')?.split(':') ?? [];
  return {
    cont: pid === undefined ? null : { pid: Number(pid), startTicks },
    table: words.includes('table'),
    unit: value('unit') ?? null,
  };
}

/** `agentctl drill-guard MS WORDS...`: says `ready`, waits, undoes, says `undone` or `failed: WHY`. Resolves to the exit code. */
export async function runDrillGuard(argv: readonly string[], source: NodeJS.Process): Promise<number> {
  const [ms = '', ...words] = argv;
  const undo = undoOf(words);
  // Whoever read this may be gone.
  source.stdout.on('error', () => undefined);
  const over = new Promise<void>((resolve) => {
    setTimeout(resolve, Number(ms)).unref();
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) source.on(name, () => resolve());
    for (const event of ['end', 'close', 'error'] as const) source.stdin.once(event, () => resolve());
    source.stdin.resume();
  });
  source.stdout.write('ready\n');
  await over;
  source.stdin.destroy();
  const problems = await takeBack(undo);
  source.stdout.write(problems.length === 0 ? 'undone\n' : `failed: ${problems.join('; ')}\n`);
  return problems.length === 0 ? 0 : 1;
}

async function takeBack(undo: Undo): Promise<readonly string[]> {
  const said = [
    undo.cont === null ? '' : goOn(undo.cont),
    undo.table ? await tableGone() : '',
    undo.unit === null ? '' : await run('systemctl', ['start', undo.unit]),
  ];
  return said.filter((text) => text !== '');
}

function goOn({ pid, startTicks }: NonNullable<Undo['cont']>): string {
  try {
    // It was ended meanwhile, by its service manager or by hand: nothing is left to go on.
    if (startTicksOf(pid) !== startTicks) return '';
    process.kill(pid, 'SIGCONT');
    return '';
  } catch (error) {
    return `process ${pid} cannot go on: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Clock ticks from boot to the start of a process, '' when there is none. */
export function startTicksOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

async function tableGone(): Promise<string> {
  const why = await run('nft', ['delete', 'table', 'inet', DRILL_TABLE]);
  return /No such file|does not exist/.test(why) ? '' : why;
}

const RUN_MS = 30_000;

/** '' or the first line of what went wrong. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: RUN_MS, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } };
    execFile(program, [...args], options, (error, _out, err) =>
      resolve(error === null ? '' : `${program}: ${err.split('\n')[0] || error.message}`),
    );
  });
}
