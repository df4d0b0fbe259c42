// The Ollamas of a lab as patients: two hot models, faults by the fake's control port, open streams, and what the agents say of them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { StatusReply } from '../../../src/gen/control.ts';
import { writeModel } from '../../fake-ollama/store.ts';
import { untilAllWell, untilStatus } from '../../lab/ask.ts';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { clientName, monoMs, namespaceOf, projectRoot } from '../../lab/names.ts';
import { request } from '../../lab/request.ts';

const control = 'http://127.0.0.1:11435';
const ollama = 'http://127.0.0.1:11434';
const wellMs = 45_000;
const loadMs = 15_000;
/** Long enough for every stream; Ollama ends one that says the same word 30 times. */
const text = Array.from({ length: 400 }, (_, i) => `word${i}`).join(' ');

/** Both models on every host, loaded for ever on the active; resolves once every node has them hot. */
export async function prepare(lab: Lab): Promise<Host> {
  const { holder } = await untilAllWell(lab, wellMs);
  // Not before: an Ollama that starts removes directories that are empty at that moment.
  for (const host of lab.hosts)
    for (const name of ['one', 'two', 'three'])
      writeModel(join(host.plan.dataDir, 'models'), name, { seed: name, text, ...(name === 'two' ? { projectorBytes: 4096 } : {}) });
  await setUp(holder);
  return allHot(lab);
}

/** Waits until the cluster is well, without any trouble, and all is hot everywhere (a third model may stay for a while); returns the holder. */
export async function allHot(lab: Lab): Promise<Host> {
  let rows = '';
  const hot = (s: StatusReply): boolean => {
    rows = s.nodes.map((r) => `${r.node} ${r.ollamaKind} ${r.hot}/${r.hotWanted} ${r.vetoes.join()} [${r.loaded.join()}]`).join(', ');
    return s.holder !== '' && s.nodes.every((r) => r.hot === r.hotWanted && r.hot >= 2 && r.ollama === 'up' && r.vetoes.length === 0);
  };
  const reply = await untilStatus(lab.hosts, 'two hot models on every node', hot, wellMs).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}; ${rows}`);
  });
  await untilAllWell(lab, wellMs);
  return lab.host(reply.holder);
}

/** Loads both models for ever on this host. */
export async function setUp(host: Host): Promise<void> {
  for (const model of ['one', 'two']) {
    const reply = await request(host.exec, 'POST', `${ollama}/api/generate`, { model, keep_alive: -1 }, loadMs);
    if (reply.status !== 200) throw new Error(`${host.name}: ${model} could not be loaded: ${reply.status} ${reply.lines.at(-1)?.text}`);
  }
}

/** All faults off, both models loaded for ever. */
export async function clear(_lab: Lab, host: Host): Promise<void> {
  await fault(host, '/clear', {});
  await setUp(host);
}

/** Switches faults on, and tells when. */
export function faulty(what: object): (lab: Lab, host: Host) => Promise<number> {
  return async (_lab, host) => {
    const at = monoMs();
    await fault(host, '/fault', what);
    return at;
  };
}

/** One request of a user of this host. */
export function generate(host: Host, body: object): ReturnType<typeof request> {
  return request(host.exec, 'POST', `${ollama}/api/generate`, body, 2 * loadMs);
}

/** One request of a user, whose end nobody waits for. */
export function demand(host: Host, model: string): void {
  // A node that was a standby may hold it still.
  const cold = generate(host, { model, keep_alive: 0 });
  void cold.then(() => generate(host, { model, prompt: 'x', stream: false, keep_alive: 1 })).catch(() => undefined);
}

/** Talks to the control port of the host's fake. */
export async function fault(host: Host, path: string, body: object): Promise<void> {
  const reply = await request(host.exec, 'POST', control + path, body, loadMs);
  if (reply.status !== 200) throw new Error(`${host.name} ${path}: ${reply.status} ${reply.lines.at(-1)?.text}`);
}

/** Waits until the host's own agent says this of its Ollama (`up`, or a kind of trouble). */
export async function ask(host: Host, word: string, limitMs = wellMs): Promise<StatusReply> {
  const said = (s: StatusReply): boolean =>
    s.nodes.some((row) => row.node === host.name && (row.ollamaKind === word || row.ollama === word));
  return untilStatus([host], `${host.name} says ${word}`, said, limitMs);
}

/** Waits until every other host knows another holder than this one. */
export async function moved(lab: Lab, from: Host, limitMs: number): Promise<void> {
  const others = lab.hosts.filter((host) => host !== from);
  await untilStatus(others, `the role leaves ${from.name}`, (s) => s.holder !== '' && s.holder !== from.name, limitMs);
}

/** Users of the client host. */
export type Users = {
  /** With the first token of all. */
  readonly first: Promise<void>;
  /** At the end of their time. */
  readonly told: Promise<{ readonly answers: number; readonly failed: number }>;
  end(): Promise<void>;
};

/** Starts users who stream from this address. */
export function users(lab: Lab, address: string, model: string, streams = 1, seconds = 3600): Users {
  const program = join(projectRoot, 'test/bench/health/stream-process.ts');
  const argv = [
    'netns',
    'exec',
    namespaceOf(lab.id, clientName),
    process.execPath,
    program,
    address,
    model,
    String(streams),
    String(seconds),
  ];
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const first = Promise.withResolvers<void>();
  const told = Promise.withResolvers<{ answers: number; failed: number }>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line === 'first') first.resolve();
    else told.resolve(JSON.parse(line));
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    first: first.promise,
    told: told.promise,
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
