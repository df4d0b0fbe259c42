// agentctl pki rotate: another CA in three steps, each of which every node can follow in its own time. At no moment does a node meet a certificate
// that it does not trust, as long as no step begins before the one before it has reached every node.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import writeFileAtomic from 'write-file-atomic';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { jsonText } from './json.ts';
import { clusterOfCa, readPem } from './pki-files.ts';

const steps = ['begin', 'switch', 'finish'] as const;
type Step = (typeof steps)[number];

/** The command. */
export function rotateCommand(ctx: CommandContext): Command {
  return new Command('rotate')
    .description('change the CA without a gap: --step begin, then switch, then finish; each says what to do before the next')
    .requiredOption('--dir <directory>', 'where ca.crt and ca.key lie')
    .addOption(new Option('--step <step>', 'the step to take').choices(steps).makeOptionMandatory())
    .option('--json', 'print the result as JSON')
    .action(async (options: { dir: string; step: Step; json?: true }) => {
      const next = await take[options.step](options.dir);
      ctx.out(options.json === true ? jsonText({ step: options.step, dir: options.dir, next }) : `${options.step}: done\nnext: ${next}\n`);
    });
}

type Place = ReturnType<typeof placeOf>;

function placeOf(dir: string) {
  return {
    cert: join(dir, 'ca.crt'),
    key: join(dir, 'ca.key'),
    nextCert: join(dir, 'next', 'ca.crt'),
    nextKey: join(dir, 'next', 'ca.key'),
    oldKey: join(dir, 'old', 'ca.key'),
  };
}

const take: Readonly<Record<Step, (dir: string) => Promise<string>>> = {
  begin: async (dir) => begin(placeOf(dir), dir),
  switch: async (dir) => change(placeOf(dir), dir),
  finish: async (dir) => finish(placeOf(dir), dir),
};

/** Both are trusted; the old one still signs. */
async function begin(at: Place, dir: string): Promise<string> {
  const old = readPem(at.cert);
  if (existsSync(at.nextKey) || existsSync(at.oldKey)) throw outOfOrder('a change of the CA is under way', dir);
  const { makeCa } = await import('./certificates.ts');
  const made = await makeCa(clusterOfCa(old, at.cert));
  put(at.nextKey, made.key, 0o600);
  put(at.nextCert, made.cert, 0o644);
  put(at.cert, `${old.trimEnd()}\n${made.cert}`, 0o644);
  return `copy ${at.cert} to /etc/ollama-ha/pki/ca.crt on every node and operator's machine; the agents take it within seconds (journalctl: pki-renewed). Then: agentctl pki rotate --dir ${dir} --step switch`;
}

/** The new one signs; both are still trusted. */
async function change(at: Place, dir: string): Promise<string> {
  if (!existsSync(at.nextKey)) throw outOfOrder('there is no new CA yet', dir);
  mkdirSync(join(dir, 'old'), { recursive: true, mode: 0o700 });
  renameSync(at.key, at.oldKey);
  renameSync(at.nextKey, at.key);
  // Whoever signs with ca.crt and ca.key takes the first certificate.
  const [old, next] = [certificatesOf(readPem(at.cert))[0] ?? '', readPem(at.nextCert)];
  put(at.cert, `${next.trimEnd()}\n${old}`, 0o644);
  return `issue every node's and operator's certificate anew (agentctl pki issue --dir ${dir} --node ID --out DIRECTORY --renew), copy node.crt, node.key and ca.crt to it. Then: agentctl pki rotate --dir ${dir} --step finish`;
}

/** Only the new one is trusted. */
async function finish(at: Place, dir: string): Promise<string> {
  if (!existsSync(at.oldKey) || !existsSync(at.nextCert)) throw outOfOrder('no change of the CA has come this far', dir);
  put(at.cert, readPem(at.nextCert), 0o644);
  renameSync(at.nextCert, join(dir, 'old', 'replaced-by.crt'));
  renameSync(at.oldKey, join(dir, 'old', `ca-${new Date().toISOString().replaceAll(':', '')}.key`));
  return `copy ${at.cert} to every node; certificates of the old CA are refused from then on. Connections that are open stay open until their agent restarts (systemctl reload ollama-ha-agent). Destroy the keys in ${join(dir, 'old')}`;
}

function certificatesOf(pem: string): readonly string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []).map((block) => `${block}\n`);
}

function outOfOrder(message: string, dir: string): CliError {
  return new CliError({
    code: 'refused',
    message,
    where: dir,
    hint: 'the steps are begin, switch, finish, in this order; agentctl pki rotate --help',
  });
}

function put(path: string, text: string, mode: number): void {
  try {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o755 });
    writeFileAtomic.sync(path, text, { mode });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new CliError({
      code: 'write',
      message: `cannot be written (${code})`,
      where: path,
      hint: 'run as the user that owns the directory',
      cause,
    });
  }
}
