// The configuration for a command, or one error that lists every problem.
import type { LoadResult } from '../config/load.ts';
import type { Problem } from '../config/problem.ts';
import { CliError } from './errors.ts';

/** Loads a file (zod and yaml with it, hence not at start). Throws a CliError with code `config` and every problem in `details`. */
export async function loadOrThrow(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Extract<LoadResult, { config: unknown }>> {
  const [{ loadConfig }, { problemLine }] = await Promise.all([import('../config/load.ts'), import('../config/problem.ts')]);
  const result = loadConfig(path, env);
  if ('config' in result) return result;
  throw configError(path, result.problems, problemLine);
}

function configError(path: string, problems: readonly Problem[], lineOf: (problem: Problem) => string): CliError {
  const [only] = problems;
  const details = { problems };
  if (problems.length === 1 && only !== undefined && only.path === '') {
    return new CliError({ code: 'config', message: only.message, where: only.source, hint: only.hint, details });
  }
  const lines = problems.flatMap((problem) => [lineOf(problem), `  Try: ${problem.hint}`]);
  const message = [`the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}`, ...lines].join('\n');
  return new CliError({ code: 'config', message, where: path, details });
}
