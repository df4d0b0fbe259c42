// One long-lived `nft -i`, fed on its stdin: a transaction takes 0.7 ms instead of a process start.
// One question at a time. A question is over when its listings are complete, when nft complains, or after its limit. A session that did not
// answer is killed, so that its command cannot take effect later; the next question starts a new one.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { type NftAnswer, nftError } from './once.ts';

/** A question: text for nft, made at the moment of writing; null = do not ask any more. */
export type Question = {
  readonly lines: () => string | null;
  /** Listings the answer consists of. */
  readonly listings: number;
  readonly limitMs: number;
};

/** `silent`: the session died or did not answer; whether the command ran is unknown. */
export type SessionAnswer = NftAnswer | { readonly ok: false; readonly why: string; readonly missing: false; readonly silent: true };

/** The session; questions are queued. */
export type NftSession = {
  ask(question: Question): Promise<SessionAnswer>;
  close(): Promise<void>;
};

const OUTPUT_BYTES_MAX = 256 * 1024;
const COMPLAINT_QUIET_MS = 3;

/** Opens a session; the process starts with the first question. */
export function openNftSession(program = 'nft'): NftSession {
  let child: ChildProcessWithoutNullStreams | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  let closed = false;

  function start(): ChildProcessWithoutNullStreams {
    const fresh = spawn(program, ['-i'], { stdio: 'pipe' });
    fresh.stdout.setEncoding('utf8');
    fresh.stderr.setEncoding('utf8');
    fresh.stdin.on('error', () => {});
    fresh.on('error', () => {});
    fresh.on('close', () => {
      if (child === fresh) child = null;
    });
    return fresh;
  }

  function askNow(question: Question): Promise<SessionAnswer> {
    if (closed) return Promise.resolve({ ok: false, why: 'the nft session is closed', missing: false });
    const lines = question.lines();
    if (lines === null) return Promise.resolve({ ok: false, why: 'too late', missing: false });
    child ??= start();
    const answer = listen(child, question);
    child.stdin.write(`${lines}\n`);
    return answer.then((result) => {
      // What an old process still has to say must not be taken for the next answer.
      if (!result.ok) drop();
      return result;
    });
  }

  function drop(): void {
    child?.kill('SIGKILL');
    child = null;
  }

  return {
    ask(question) {
      const answer = queue.then(() => askNow(question));
      queue = answer;
      return answer;
    },
    async close() {
      closed = true;
      await queue;
      drop();
    },
  };
}

function listen(child: ChildProcessWithoutNullStreams, question: Question): Promise<SessionAnswer> {
  return new Promise((resolve) => {
    let out = '';
    let err = '';
    let quiet: NodeJS.Timeout | undefined;
    const complete = () => (out.match(/^\}$/gm)?.length ?? 0) >= question.listings;
    const onOut = (text: string) => {
      out = (out + text).slice(0, OUTPUT_BYTES_MAX);
      // nft writes complaints first, but they come through another pipe: look there once more before believing the listing.
      if (complete()) setImmediate(() => setImmediate(believe));
    };
    const onErr = (text: string) => {
      err = (err + text).slice(0, OUTPUT_BYTES_MAX);
      // A complaint comes in pieces; its first line is what counts, and the limit bounds the wait for it.
      clearTimeout(quiet);
      if (err.includes('\n')) quiet = setTimeout(settle, COMPLAINT_QUIET_MS);
    };
    const silent = (why: string) => finish({ ok: false, why, missing: false, silent: true });
    const onClose = () => silent('nft ended');
    const onError = (error: Error) => silent(error.message);
    const late = () => (complete() || err !== '' ? settle() : silent(`nft did not answer within ${question.limitMs} ms`));
    // After a stall of this process the timer is first, and the answer lies waiting.
    const timer = setTimeout(() => setImmediate(() => setImmediate(late)), question.limitMs);
    const settle = () => finish(err === '' ? { ok: true, text: out } : nftError(err));
    const believe = () => {
      if (err === '') settle();
    };
    const finish = (answer: SessionAnswer) => {
      clearTimeout(timer);
      clearTimeout(quiet);
      child.stdout.off('data', onOut);
      child.stderr.off('data', onErr);
      child.off('close', onClose).off('error', onError);
      resolve(answer);
    };
    child.stdout.on('data', onOut);
    child.stderr.on('data', onErr);
    child.on('close', onClose).on('error', onError);
  });
}
