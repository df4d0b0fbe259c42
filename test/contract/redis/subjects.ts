// The three subjects of the contract suite.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ScriptCall } from '../../../src/core/lease/types.ts';
import { startRedisServer } from '../../../src/drivers/redis-server/server.ts';
import { makeCertificates } from '../../drivers/redis/certificates.ts';
import { cluster, freePort, password, startRedisProcess } from '../../drivers/redis/redis-process.ts';
import { type AwaitableClient, awaitableClient, idle, plainServer } from '../../drivers/redis/scripts-client.ts';
import { createRedisModel, execute, flushAll, type RedisSnapshot, restart, setFault, snapshot } from '../../sim/redis-model/model.ts';
import type { Answer, RedisSubject } from './subject.ts';

/** The simulator's model. */
export async function openModel(): Promise<RedisSubject> {
  const model = createRedisModel({ runIdSeed: 7 });
  let held: ScriptCall[] | null = null;
  return {
    ask: async (call) => {
      if (held === null) return execute(model, call);
      held.push(call);
      return { failure: 'timeout' };
    },
    restart: async (keep) => restart(model, typeof keep === 'string' ? keep : { rollbackTo: keep.token as RedisSnapshot }),
    stall: () => {
      held = [];
    },
    resume: async () => {
      for (const call of held ?? []) execute(model, call);
      held = null;
    },
    flushAll: async () => flushAll(model),
    save: async () => ({ token: snapshot(model) }),
    setFault: async (fault) => {
      if (fault === 'loading') restart(model, 'all'); // a server loads only when it starts
      setFault(model, fault);
    },
    close: async () => {},
  };
}

/** A plain redis-server with the minimal user, through the real client. */
export async function openPlain(): Promise<RedisSubject> {
  const redis = await startRedisProcess();
  const real = awaitableClient([plainServer('plain', redis.port)]);
  const caller = patientCaller(real);
  const { admin } = redis;
  let dumps = 0;
  let fault = 'none';
  const save = async () => {
    dumps += 1;
    const file = join(redis.dir, `dump-${dumps}.rdb`);
    await redis.save(file);
    return file;
  };
  const restartFrom = async (file: string | null) => {
    await redis.restart(file);
    await real.answering(0);
  };
  await real.answering(0);
  return {
    ask: caller.ask,
    restart: async (keep) => restartFrom(keep === 'empty' ? null : keep === 'all' ? await save() : String(keep.token)),
    stall: () => caller.stall(redis.pid()),
    resume: () => caller.resume(redis.pid()),
    flushAll: async () => {
      await admin.flushall();
    },
    save: async () => ({ token: await save() }),
    setFault: async (next) => {
      if (fault === 'oom') await admin.config('SET', 'maxmemory', '0');
      if (fault === 'readonly') await admin.replicaof('NO', 'ONE');
      if (fault === 'loading') await real.answering(0);
      if (next === 'oom') await admin.config('SET', 'maxmemory', '1');
      if (next === 'readonly') await admin.replicaof('127.0.0.1', 1);
      if (next === 'loading') await startLoading();
      fault = next;
    },
    close: async () => {
      await real.client.close();
      await redis.close();
    },
  };

  /** Some seconds of loading: many small keys, each delayed. */
  async function startLoading(): Promise<void> {
    await admin.debug('POPULATE', '2000', 'filler', '64');
    await redis.restart(await save(), ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']);
  }
}

/** The managed server: TLS, client certificates, no data on disk. */
export async function openManaged(): Promise<RedisSubject> {
  const home = mkdtempSync(join(tmpdir(), 'ohl-managed-'));
  const tls = await makeCertificates(join(home, 'pki'), `gpu1.${cluster}.ollama-ha`);
  const port = await freePort();
  const managed = await startRedisServer({
    dir: join(home, 'redis'),
    runDir: join(home, 'run'),
    port,
    bind: ['127.0.0.1'],
    password,
    cluster,
    tls,
    log: () => {},
  });
  const pem = { ca: readFileSync(tls.ca, 'utf8'), cert: readFileSync(tls.cert, 'utf8'), key: readFileSync(tls.key, 'utf8') };
  const real = awaitableClient([plainServer('managed', port, { tls: { ...pem, serverName: `gpu1.${cluster}.ollama-ha` } })]);
  const caller = patientCaller(real);
  const pid = () => managed.view().pid ?? 0;
  const refuse = async (): Promise<never> => Promise.reject(new Error('a managed server lets nobody administer it'));
  await real.answering(0);
  return {
    ask: caller.ask,
    restart: async (keep) => {
      if (keep !== 'empty') return refuse();
      process.kill(pid(), 'SIGKILL');
      await untilFailing(real);
      await real.answering(0);
    },
    stall: () => caller.stall(pid()),
    resume: () => caller.resume(pid()),
    flushAll: refuse,
    save: refuse,
    setFault: refuse,
    close: async () => {
      await real.client.close();
      await managed.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Repeats a call that never left because the client was just reconnecting, except while the server is stalled. */
function patientCaller(real: AwaitableClient) {
  let stalled = false;
  return {
    ask: async (call: ScriptCall): Promise<Answer> => {
      for (let attempt = 0; attempt < 200; attempt += 1) {
        const answer = await real.ask(0, call);
        if (stalled || !('failure' in answer) || answer.failure !== 'closed') return answer;
        await sleep(10);
      }
      throw new Error('the client does not reconnect');
    },
    stall: (pid: number) => {
      stalled = true;
      process.kill(pid, 'SIGSTOP');
    },
    resume: async (pid: number) => {
      process.kill(pid, 'SIGCONT');
      await real.answering(0);
      stalled = false;
    },
  };
}

async function untilFailing(real: AwaitableClient): Promise<void> {
  while ('code' in (await real.ask(0, idle))) await sleep(5);
}
