// agentctl pki init | issue | rotate: the cluster's own CA, and the certificates by which nodes and operators are known.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';
import { jsonText } from './json.ts';
import { readPem } from './pki-files.ts';
import { rotateCommand } from './pki-rotate.ts';

/** The command with its two subcommands. */
export function pkiCommand(ctx: CommandContext): Command {
  return new Command('pki').addCommand(initCommand(ctx)).addCommand(issueCommand(ctx)).addCommand(rotateCommand(ctx));
}

function initCommand(ctx: CommandContext): Command {
  return new Command('init')
    .description('make a CA: ca.crt and ca.key; keep ca.key off the nodes')
    .requiredOption('--cluster <name>', 'name of the cluster, as cluster.name')
    .requiredOption('--dir <directory>', 'where the CA shall lie')
    .option('--json', 'print the result as JSON')
    .action(async (options: { cluster: string; dir: string; json?: true }) => {
      mustBeLabel('--cluster', options.cluster);
      const files = { cert: join(options.dir, 'ca.crt'), key: join(options.dir, 'ca.key') };
      mustBeAbsent([files.cert, files.key], 'every certificate of the old CA would be worthless; choose another --dir');
      const { makeCa } = await import('./certificates.ts');
      const made = await makeCa(options.cluster);
      writeAll([
        { path: files.key, text: made.key, mode: 0o600 },
        { path: files.cert, text: made.cert, mode: 0o644 },
      ]);
      const facts = { cluster: options.cluster, ...files, notAfter: made.notAfter.toISOString() };
      const next = `next: agentctl pki issue --dir ${options.dir} --node ID --out DIRECTORY, for every node; keep ${files.key} in a safe place`;
      ctx.out(
        options.json === true
          ? jsonText(facts)
          : `CA of ${options.cluster}: ${files.cert}, valid until ${facts.notAfter.slice(0, 10)}\n${next}\n`,
      );
    });
}

type IssueOptions = {
  readonly dir: string;
  readonly node?: string;
  readonly operator?: string;
  readonly out: string;
  readonly renew?: true;
  readonly json?: true;
};

function issueCommand(ctx: CommandContext): Command {
  return new Command('issue')
    .description('issue a certificate: node.crt, node.key and a copy of ca.crt')
    .requiredOption('--dir <directory>', 'where ca.crt and ca.key lie')
    .option('--node <id>', 'for a node: its id, as node.id')
    .option('--operator <name>', 'for a person or program that runs agentctl --host')
    .requiredOption('--out <directory>', 'where the three files shall lie; on the node: /etc/ollama-ha/pki')
    .option('--renew', 'replace the files of the same name that lie there; they stay beside them as .old')
    .option('--json', 'print the result as JSON')
    .action(async (options: IssueOptions) => {
      const facts = await issue(options);
      ctx.out(options.json === true ? jsonText(facts) : `${facts.name}: ${facts.cert}, valid until ${facts.notAfter.slice(0, 10)}\n`);
    });
}

async function issue(options: IssueOptions): Promise<{ name: string; cert: string; key: string; ca: string; notAfter: string }> {
  const who = subjectOf(options);
  const ca = { cert: readPem(join(options.dir, 'ca.crt')), key: readPem(join(options.dir, 'ca.key')) };
  const files = { cert: join(options.out, 'node.crt'), key: join(options.out, 'node.key'), ca: join(options.out, 'ca.crt') };
  const sameCa = existsSync(files.ca) && readFileSync(files.ca, 'utf8') === ca.cert;
  if (options.renew !== true) {
    mustBeAbsent([files.cert, files.key], 'add --renew, choose another --out, or move the old files away first');
    if (!sameCa) mustBeAbsent([files.ca], 'it belongs to another CA; add --renew, choose another --out, or move it away first');
  }
  const { issueCertificate } = await import('./certificates.ts');
  const made = await issueCertificate({ ca, who });
  for (const path of [files.key, files.cert, ...(sameCa ? [] : [files.ca])]) if (existsSync(path)) renameSync(path, `${path}.old`);
  writeAll([
    { path: files.key, text: made.key, mode: 0o600 },
    { path: files.cert, text: made.cert, mode: 0o644 },
    ...(sameCa ? [] : [{ path: files.ca, text: ca.cert, mode: 0o644 }]),
  ]);
  return { name: made.name, ...files, notAfter: made.notAfter.toISOString() };
}

function subjectOf(options: IssueOptions): { readonly k: 'node' | 'operator'; readonly id: string } {
  const { node, operator } = options;
  if ((node === undefined) === (operator === undefined)) throw usage('name either --node or --operator', '', 'agentctl pki issue --help');
  const id = node ?? operator ?? '';
  mustBeLabel(node === undefined ? '--operator' : '--node', id);
  return { k: node === undefined ? 'operator' : 'node', id };
}

function mustBeLabel(option: string, value: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)) return;
  throw usage('not a DNS label', `${option} ${value}`, 'use small letters, digits and inner hyphens, at most 63');
}

function mustBeAbsent(paths: readonly string[], hint: string): void {
  const present = paths.find((path) => existsSync(path));
  if (present !== undefined) throw new CliError({ code: 'exists', message: 'will not overwrite', where: resolve(present), hint });
}

function writeAll(files: readonly { readonly path: string; readonly text: string; readonly mode: number }[]): void {
  for (const { path, text, mode } of files) {
    try {
      mkdirSync(join(path, '..'), { recursive: true, mode: 0o755 });
      writeFileSync(path, text, { mode, flag: 'wx' });
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      throw new CliError({
        code: 'write',
        message: `cannot be written (${code})`,
        where: path,
        hint: 'run as root, or choose a writable directory',
        cause,
      });
    }
  }
}

function usage(message: string, where: string, hint: string): CliError {
  return new CliError({ code: 'usage', message, where, hint, exitCode: EXIT_USAGE });
}
