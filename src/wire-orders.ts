// What operators' orders need beside the loop: settings and history in Redis, the count of open requests while a node drains, and the check
// that no Redis server is listed twice.
import type { Loop } from './agent/loop.ts';
import type { DrainPort, RecordsPort, Sink } from './agent/ports.ts';
import type { Config } from './config/schema.ts';
import type { ScriptsClient } from './drivers/redis/client.ts';
import { keepRecords } from './drivers/redis/records.ts';
import { countConnections } from './drivers/sockets/connections.ts';
import type { StateFiles } from './drivers/state/files.ts';
import type { AgentLog } from './log.ts';

const COUNT_EVERY_MS = 250;
const TWINS_EVERY_MS = 200;
// Every server that can be reached answers within this time of the start.
const TWINS_MS = 10_000;

/** Settings and history in Redis, joined with what the state files hold. */
export function openRecords(scripts: ScriptsClient, cluster: string, state: StateFiles, loop: Loop, log: AgentLog): RecordsPort {
  return keepRecords({
    connections: scripts.connections,
    cluster,
    settings: state.saved.settings,
    onSettings: (settings) => loop.sink({ k: 'settings', settings }),
    onHistory: state.learnHistory,
    log,
  });
}

/** Counts the connections of users while this node drains, and sleeps otherwise. */
export function watchDrain(sink: Sink, config: Config): DrainPort {
  const address = config.vip?.address.split('/')[0] ?? '';
  const port = config.ollama === null ? 0 : portOf(config.ollama.url);
  let timer: NodeJS.Timeout | null = null;
  let counting = false;

  function count(): void {
    if (counting) return;
    counting = true;
    void countConnections({ address, port }).then((open) => {
      counting = false;
      sink({ k: 'open', count: open });
    });
  }

  function apply(draining: boolean): void {
    if (draining === (timer !== null)) return;
    if (timer !== null) clearInterval(timer);
    timer = draining ? setInterval(count, COUNT_EVERY_MS) : null;
  }

  return { apply, close: () => apply(false) };
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/** Ends the start when two entries of the list reach one server: they would count as two votes. The driver counts neither from the first reply on. */
export function refuseTwins(scripts: ScriptsClient, end: (text: string, hint: string) => void): NodeJS.Timeout {
  let left = TWINS_MS / TWINS_EVERY_MS;
  const timer = setInterval(() => {
    const [twins] = scripts.duplicates();
    left -= 1;
    if (twins === undefined && left > 0) return;
    clearInterval(timer);
    if (twins !== undefined)
      end(
        `the Redis servers ${twins[0]} and ${twins[1]} are one and the same process`,
        'list each server once, under redis.servers or redis.voters',
      );
  }, TWINS_EVERY_MS);
  return timer;
}
