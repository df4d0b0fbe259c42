// L4: no claim leaves while a promise stands, nor without a majority of ripe servers. The checker keeps its own book of what each process has seen,
// with the rules (A) to (D) written out once more.
import type { ScriptCall, Snap } from '../../../src/core/lease/types.ts';
import type { Host } from '../host.ts';
import { waitOf } from '../presets.ts';
import { fail, type Watch, type World } from '../world.ts';

type Seen = { snap: Snap; runSince: number; recSince: number };
type Promised = { until: number; who: string };
type Claim = Extract<ScriptCall, { script: 'cas' }>;
type Request = { from: string; boot: number; epoch: number; round: number; lockDelayMs: number };
type Book = {
  servers: (Seen | undefined)[];
  request: Request | null;
  promise: Promised | null;
  /** Owner/epoch pairs whose owner said first-hand that it is done. */
  readonly done: Set<string>;
  claimAt: number;
  asked: number;
  unjudged: boolean;
};

const SLACK_MS = 1e-6;

function announced(snap: Snap): { ttl: number; lockDelay: number } {
  const meta: unknown = snap.meta === '' ? {} : JSON.parse(snap.meta);
  const field = (key: 'ttl' | 'lockDelay') => {
    const value = typeof meta === 'object' && meta !== null && key in meta ? (meta as Record<string, unknown>)[key] : 0;
    return typeof value === 'number' ? value : 0;
  };
  return { ttl: field('ttl'), lockDelay: field('lockDelay') };
}

/** Watches L4. */
export function watchL4(world: World): Watch {
  const { ttlMs, lockDelayMs, driftPpm, heirGraceMs } = world.lease;
  const wait = (ms: number) => waitOf(ms, driftPpm);
  const majority = Math.floor(world.servers.length / 2) + 1;
  const fresh = (): Book => ({ servers: [], request: null, promise: null, done: new Set(), claimAt: -1, asked: 0, unjudged: false });
  const books = world.hosts.map(fresh);

  const ripeAt = (host: Host, book: Book, seen: Seen): number => {
    const { snap, runSince, recSince } = seen;
    const runOk = runSince + wait(ttlMs + lockDelayMs);
    if (snap.o === '') return Math.max(runOk, recSince + wait(ttlMs + lockDelayMs));
    if (snap.rel === '1') return snap.heir === '' || snap.heir === host.id ? runOk : Math.max(runOk, recSince + heirGraceMs);
    if (book.done.has(`${snap.o}/${snap.e}`)) return runOk;
    const { ttl, lockDelay } = announced(snap);
    return Math.max(runOk, recSince + wait(Math.max(ttlMs, ttl) + lockDelay));
  };

  const judge = (host: Host, book: Book, server: number, call: Claim, mono: number) => {
    if (book.promise !== null && mono < book.promise.until - SLACK_MS) {
      fail(
        world,
        'L4',
        `${host.id} claims although it promised ${book.promise.who} to wait ${(book.promise.until - mono).toFixed(1)} ms more`,
      );
    }
    const seen = book.servers[server];
    if (seen === undefined) return fail(world, 'L4', `${host.id} claims on server ${server}, which it never observed`);
    const { snap } = seen;
    if (call.run !== snap.run || call.o !== snap.o || call.e !== snap.e || call.n !== snap.n) {
      return fail(world, 'L4', `${host.id} claims on server ${server} what it did not observe last`);
    }
    const at = ripeAt(host, book, seen);
    if (mono < at - SLACK_MS)
      fail(world, 'L4', `${host.id} claims on server ${server} ${(at - mono).toFixed(1)} ms before it is ripe (owner '${snap.o}')`);
  };

  const observe = (book: Book, server: number, snap: Snap, mono: number) => {
    const seen = book.servers[server];
    if (seen === undefined || seen.snap.run !== snap.run) {
      book.servers[server] = { snap, runSince: mono, recSince: mono };
      return;
    }
    const before = seen.snap;
    if (before === snap) return;
    if (before.o !== snap.o || before.e !== snap.e || before.n !== snap.n || before.rel !== snap.rel) seen.recSince = mono;
    seen.snap = snap;
  };

  return {
    name: 'L4',
    started(host) {
      books[host.index] = fresh();
    },
    input(host, input, _call, mono) {
      const book = books[host.index];
      if (book === undefined) return;
      if (input.k === 'reply') observe(book, input.server, input.snap, mono);
      if (input.k !== 'peer') return;
      if (input.msg.k === 'failsafeRequest') {
        const { boot, epoch, round, lockDelayMs: theirs } = input.msg;
        book.request = { from: input.from, boot, epoch, round, lockDelayMs: theirs };
      }
      if (input.msg.k !== 'stepDown' && input.msg.k !== 'handover') return;
      const who = `${input.from}#${input.msg.boot}/${input.msg.epoch}`;
      book.done.add(who);
      if (book.promise?.who === who) book.promise = null;
    },
    sent(host, { server, call }, mono) {
      const book = books[host.index];
      if (book === undefined || call.script !== 'cas' || call.mode !== 'claim') return;
      if (book.claimAt !== mono) {
        book.claimAt = mono;
        book.asked = 0;
      }
      book.asked += 1;
      book.unjudged = true;
      judge(host, book, server, call, mono);
    },
    peerSent(host, to, msg, mono) {
      const book = books[host.index];
      if (book === undefined || msg.k !== 'failsafeReply' || msg.verdict !== 'accepted') return;
      const { request } = book;
      if (request === null || request.from !== to || request.epoch !== msg.epoch || request.round !== msg.round) {
        return fail(world, 'L4', `${host.id} promises ${to} what was not asked for`);
      }
      book.promise = { until: mono + wait(ttlMs + request.lockDelayMs), who: `${to}#${request.boot}/${request.epoch}` };
    },
    turn(host, turn, mono) {
      const book = books[host.index];
      if (book === undefined) return;
      if (turn.acting && host.turn?.acting !== true && book.promise !== null && mono < book.promise.until - SLACK_MS) {
        fail(
          world,
          'L4',
          `${host.id} starts to act although it promised ${book.promise.who} to stay back: a promise voids a claim in flight`,
        );
      }
      if (!book.unjudged) return;
      book.unjudged = false;
      if (book.asked < majority)
        fail(world, 'L4', `${host.id} claimed on ${book.asked} of ${world.servers.length} servers, less than a majority`);
    },
  };
}
