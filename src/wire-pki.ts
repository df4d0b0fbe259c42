// The node's certificates while the agent runs: when the files change, everything that shakes hands takes the new ones, without a restart and
// without a gap. Connections that are open stay as they are.
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Config } from './config/schema.ts';
import type { GrpcPeers } from './drivers/grpc/peers.ts';
import type { ScriptsClient } from './drivers/redis/client.ts';
import type { ManagedRedis } from './drivers/redis-server/server.ts';
import type { AgentLog } from './log.ts';
import { redisAccessOf } from './wire-config.ts';
import type { Replication } from './wire-store.ts';

/** Whoever uses the certificates; null parts are not on this node. */
export type PkiUsers = {
  readonly peers: Pick<GrpcPeers, 'reload'>;
  readonly scripts: Pick<ScriptsClient, 'setTls'>;
  readonly replication: Pick<Replication, 'setTls'> | null;
  readonly managed: Pick<ManagedRedis, 'renewCertificates'> | null;
};

/** The certificates of this node. */
export type Pki = {
  /** What an operator should know of them; '' = nothing. */
  readonly problem: () => string;
  /** Looks at the files from now on. */
  readonly watch: (users: PkiUsers) => void;
  readonly close: () => void;
};

const LOOK_MS = 2000;
const dayMs = 86_400_000;
/** From here on status and doctor warn. */
const EXPIRY_DAYS = 30;

/** Reads nothing yet but the dates. */
export function openPki(config: Config, log: AgentLog): Pki {
  const { pki } = config;
  let inUse = signatureOf(pki);
  let refused = '';
  let failure = '';
  let dates = datesOf(pki);
  let timer: NodeJS.Timeout | undefined;

  async function look(users: PkiUsers): Promise<void> {
    const found = signatureOf(pki);
    if (found === inUse) return;
    try {
      await take(users);
      inUse = found;
      dates = datesOf(pki);
      refused = '';
      failure = '';
      log('info', 'pki-renewed', 'certificates were replaced: every new connection uses them', { cert: pki.cert });
    } catch (error) {
      failure = `new certificates are not used yet: ${error instanceof Error ? error.message : String(error)}`;
      // Files that are copied one after the other do not fit for a moment; each state of them is told once.
      if (refused !== found) log('warn', 'pki-refused', failure, { cert: pki.cert });
      refused = found;
    }
  }

  async function take({ peers, scripts, replication, managed }: PkiUsers): Promise<void> {
    const error = await peers.reload();
    if (error !== null) throw new Error(`${error.message} (${error.hint})`);
    const [ca, cert, key] = [readFileSync(pki.ca, 'utf8'), readFileSync(pki.cert, 'utf8'), readFileSync(pki.key, 'utf8')];
    replication?.setTls({ ca, cert, key });
    scripts.setTls(redisAccessOf(config).servers.map((server) => server.tls));
    await managed?.renewCertificates();
  }

  return {
    problem: () => failure || expiryText(dates, Date.now()),
    watch: (users) => {
      const again = () => {
        timer = setTimeout(() => void look(users).then(again), LOOK_MS);
      };
      again();
    },
    close: () => clearTimeout(timer),
  };
}

type Files = Config['pki'];
type Dates = { readonly cert: number; readonly ca: number };

/** Which files these are; anything that replaces or changes one changes it. */
function signatureOf(files: Files): string {
  return [files.ca, files.cert, files.key]
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? 'absent' : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
    })
    .join('\n');
}

function datesOf(files: Files): Dates {
  const end = (path: string) => {
    try {
      return Date.parse(new X509Certificate(readFileSync(path)).validTo);
    } catch {
      return Number.POSITIVE_INFINITY; // the agent does not start with such a file
    }
  };
  return { cert: end(files.cert), ca: end(files.ca) };
}

function expiryText(dates: Dates, wallMs: number): string {
  const text = (what: string, end: number, order: string) => {
    const days = Math.floor((end - wallMs) / dayMs);
    if (days >= EXPIRY_DAYS) return [];
    const when = days < 0 ? 'has expired' : `expires in ${days} days`;
    return [`${what} ${when} (${new Date(end).toISOString().slice(0, 10)}): ${order}`];
  };
  return [...text("this node's certificate", dates.cert, 'agentctl pki issue'), ...text('the CA', dates.ca, 'agentctl pki rotate')].join(
    '; ',
  );
}
