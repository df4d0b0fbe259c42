// What TCP tells of requests, from the kernel's own counters: bytes sent on established connections of Ollama's port to users, and of the
// runners' ports to Ollama. No payload is read. `ss` runs only while users are connected; whether they are is read from /proc/net/tcp.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Traffic } from '../../core/health/types.ts';

/** One connection, as `ss -tinH` shows it. Ages in ms. */
export type Connection = {
  readonly localPort: number;
  readonly peer: string;
  readonly peerPort: number;
  readonly sent: number;
  readonly received: number;
  /** Segments with data that were sent. */
  readonly pieces?: number;
  readonly sendAgeMs: number;
  readonly receiveAgeMs: number;
};

const OUTPUT_MAX = 16 * 1024 * 1024;
const LIMIT_MS = 2000;
const ESTABLISHED = '01';

/** Lines of `ss -tinH`: a line of addresses, then one of counters. */
export function readConnections(text: string): readonly Connection[] {
  const found: Connection[] = [];
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i += 1) {
    const columns = (lines[i] ?? '').trim().split(/\s+/);
    if (columns.length < 4 || /^\s/.test(lines[i] ?? '')) continue;
    const local = columns.find((c) => /:\d+$/.test(c));
    const peer = columns.findLast((c) => /:\d+$/.test(c));
    const facts = lines[i + 1] ?? '';
    if (local === undefined || peer === undefined || local === peer) continue;
    found.push({
      localPort: portOf(local),
      peer: peer.slice(0, peer.lastIndexOf(':')),
      peerPort: portOf(peer),
      sent: numberOf(facts, 'bytes_sent'),
      received: numberOf(facts, 'bytes_received'),
      pieces: numberOf(facts, 'data_segs_out'),
      sendAgeMs: numberOf(facts, 'lastsnd'),
      receiveAgeMs: numberOf(facts, 'lastrcv'),
    });
  }
  return found;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function numberOf(facts: string, name: string): number {
  return Number(new RegExp(`\\b${name}:(\\d+)`).exec(facts)?.[1] ?? 0);
}

/** Established connections to a local port, as /proc/net/tcp shows them: [peer port] each. */
export function establishedPeers(table: string, port: number): number[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    // Most lines are of other ports.
    if (!line.includes(`:${wanted} `)) return [];
    const [, local, remote, state] = line.trim().split(/\s+/);
    if (local === undefined || remote === undefined || state !== ESTABLISHED || !local.endsWith(`:${wanted}`)) return [];
    return [Number.parseInt(remote.slice(remote.lastIndexOf(':') + 1), 16)];
  });
}

/** Sums up one look. `before`: bytes by connection at the look before; `own`: is this peer port one of ours. */
export function trafficOf(
  connections: readonly Connection[],
  port: number,
  own: (peerPort: number) => boolean,
  before: ReadonlyMap<string, number>,
): { readonly traffic: Traffic; readonly sent: ReadonlyMap<string, number> } {
  const users = connections.filter((c) => c.localPort === port && !own(c.peerPort));
  const runners = connections.filter((c) => c.localPort !== port);
  const sent = new Map([...users, ...runners].map((c) => [`${c.localPort} ${c.peer} ${c.peerPort}`, c.sent]));
  // A connection that is new since has sent all its bytes since.
  const movedBytes = [...sent].reduce((sum, [key, bytes]) => sum + Math.max(0, bytes - (before.get(key) ?? 0)), 0);
  const waits = (c: Connection): boolean => c.received > 0 && (c.sent === 0 || c.receiveAgeMs < c.sendAgeMs);
  const waiting = users.filter(waits);
  const speaking = users.filter((c) => c.sent > 0 && !waits(c));
  const spoke = [...users, ...runners].filter((c) => c.sent > 0);
  return {
    sent,
    traffic: {
      users: users.length,
      movedBytes,
      waiting: waiting.length,
      waitingMs: Math.max(0, ...waiting.map((c) => c.receiveAgeMs)),
      prompting: runners.filter(waits).length,
      speaking: speaking.length,
      quietMs: Math.min(Number.POSITIVE_INFINITY, ...spoke.map((c) => c.sendAgeMs)),
      saidMs: Math.min(Number.POSITIVE_INFINITY, ...speaking.map((c) => c.sendAgeMs)),
    },
  };
}

/**
 * About how many tokens the runners have sent since the look before: a runner streams every token to Ollama in a piece of its own. `before`: pieces
 * by connection; null = the first look, which proves nothing. A number that has become smaller is another connection on the same ports.
 */
export function tokensOf(
  connections: readonly Connection[],
  port: number,
  before: ReadonlyMap<string, number> | null,
): { readonly tokens: number; readonly pieces: ReadonlyMap<string, number> } {
  const runners = connections.filter((c) => c.localPort !== port);
  const pieces = new Map(runners.map((c) => [`${c.localPort} ${c.peer} ${c.peerPort}`, c.pieces ?? 0]));
  if (before === null) return { tokens: 0, pieces };
  const since = ([key, now]: [string, number]): number => {
    const was = before.get(key) ?? 0;
    return now < was ? now : now - was;
  };
  return { tokens: [...pieces].reduce((sum, entry) => sum + since(entry), 0), pieces };
}

/** A watcher of one Ollama's port. `own` tells the peer ports of our own connections. */
export function createTrafficWatch(
  port: number,
  own: () => ReadonlySet<number>,
): { look(runnerPorts: readonly number[]): Promise<Traffic | null> } {
  let before: ReadonlyMap<string, number> | null = null;
  // Kept while nobody is connected: Ollama uses its connections to the runners again.
  let piecesBefore: ReadonlyMap<string, number> | null = null;
  const none: Traffic = {
    users: 0,
    movedBytes: 0,
    waiting: 0,
    waitingMs: 0,
    prompting: 0,
    speaking: 0,
    quietMs: Number.POSITIVE_INFINITY,
    saidMs: Number.POSITIVE_INFINITY,
  };
  return {
    async look(runnerPorts) {
      const tables = ['tcp', 'tcp6'].map(readTable);
      const mine = own();
      if (!tables.some((table) => establishedPeers(table, port).some((peer) => !mine.has(peer)))) {
        before = new Map();
        piecesBefore ??= new Map();
        return none;
      }
      const text = await ss([port, ...runnerPorts]);
      if (text === null) return null;
      // The first look knows no earlier bytes: what was sent before it proves nothing about now.
      const connections = readConnections(text);
      const first = before === null ? trafficOf(connections, port, (peer) => mine.has(peer), new Map()).sent : before;
      const { traffic, sent } = trafficOf(connections, port, (peer) => mine.has(peer), first);
      before = sent;
      const { tokens, pieces } = tokensOf(connections, port, piecesBefore);
      piecesBefore = pieces;
      return { ...traffic, tokens };
    },
  };
}

// From the kernel's memory, at once.
function readTable(name: string): string {
  try {
    return readFileSync(`/proc/self/net/${name}`, 'latin1');
  } catch {
    return '';
  }
}

function ss(ports: readonly number[]): Promise<string | null> {
  const filter = ports.flatMap((port, i) => [...(i === 0 ? [] : ['or']), 'sport', '=', `:${port}`]);
  return new Promise((resolve) => {
    execFile(
      'ss',
      ['-tinH', 'state', 'established', '(', ...filter, ')'],
      { timeout: LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: OUTPUT_MAX },
      (error, out) => resolve(error === null ? out : null),
    );
  });
}
