// Would this file's timing have room on this machine? The agent that runs here has measured it; without one nothing is said.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { redisServersOf } from '../config/derive.ts';
import type { Config } from '../config/schema.ts';
import { roomWarnings } from '../core/room.ts';
import { askSocket } from './agent-client.ts';

/** How long the answer may take: the check itself needs no agent. */
const TIMEOUT_MS = 1000;

/** Judges the timing of a file by what the agent of its run directory has measured; empty where none answers. */
export async function roomHere(config: Config): Promise<readonly string[]> {
  const socket = join(config.paths.run, 'agent.sock');
  if (statSync(socket, { throwIfNoEntry: false }) === undefined) return [];
  const status = await askSocket(socket, TIMEOUT_MS).catch(() => null);
  if (status === null) return [];
  return roomWarnings({
    preset: config.lease.preset,
    ttlMs: config.lease.ttlMs,
    renewMs: config.lease.renewMs,
    servers: redisServersOf(config).length,
    loopLateP99Ms: status.loopLateP99Ms < 0 ? null : status.loopLateP99Ms,
    redisP99Ms: status.redis.filter((row) => row.up).map((row) => row.latencyP99Ms),
  });
}
