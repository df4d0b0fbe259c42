// What the contract suite does to a Redis, whatever it is: the simulator's model, a plain server, a managed server.
import type { ScriptCall } from '../../../src/core/lease/types.ts';
import type { Answer } from '../../drivers/redis/scripts-client.ts';
import type { Keep, RedisFault } from '../../sim/redis-model/model.ts';

export type { Answer };

/** Data of some moment; only the subject that made it knows what it is. */
export type SavedData = { readonly token: unknown };

export type RestartWith = Extract<Keep, string> | SavedData;

export type RedisSubject = {
  /** Runs a call and waits for its answer; during a stall that is `timeout` or `closed`. */
  ask(call: ScriptCall): Promise<Answer>;
  restart(keep: RestartWith): Promise<void>;
  /** The server stops executing but keeps what it receives. */
  stall(): void;
  /** It goes on; resolves when it answers and has executed what it had received. */
  resume(): Promise<void>;
  flushAll(): Promise<void>;
  save(): Promise<SavedData>;
  setFault(fault: RedisFault): Promise<void>;
  close(): Promise<void>;
};

/** What a subject can be put through. A managed server keeps nothing on disk and lets nobody administer it. */
export type Abilities = { readonly admin: boolean };
