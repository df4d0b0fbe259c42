// An error as the operator and as a script read it.
import type { CliError } from './errors.ts';
import { printable } from './format.ts';

/** `agentctl: WHAT: WHERE` and `Try: HINT`, each on a line of its own. */
export function errorText(error: CliError): string {
  const where = error.where === '' ? '' : `: ${printable(error.where)}`;
  const hint = error.hint === '' ? '' : `Try: ${printable(error.hint)}\n`;
  const [first = '', ...more] = error.message.split('\n').map(printable);
  return `agentctl: ${first}${where}\n${more.map((line) => `  ${line}\n`).join('')}${hint}`;
}

/** The same as data, for --json. */
export function errorJson(error: CliError): object {
  return {
    error: { code: error.code, message: error.message, where: error.where, hint: error.hint, exitCode: error.exitCode, ...error.details },
  };
}
