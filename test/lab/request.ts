// One HTTP request from inside a host, and the lab's side of it. As a program: node request.ts METHOD URL [BODY]; the answer's lines come out
// one by one, each with the moment it arrived: [at, line]; the last line is [at, null, status].

import type { Outcome, RunOptions } from './command.ts';
import { monoMs, projectRoot } from './names.ts';

/** An answer: its status and its lines with the monotonic ms of their arrival. */
export type Answer = { readonly status: number; readonly lines: readonly { readonly at: number; readonly text: string }[] };

/** Runs a request through `exec` of a host or of the client host. An error when there is no answer within the time limit (default 60,000 ms). */
export async function request(
  exec: (argv: readonly string[], options?: RunOptions) => Promise<Outcome>,
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  body?: unknown,
  timeoutMs = 60_000,
): Promise<Answer> {
  const argv = [process.execPath, `${projectRoot}/test/lab/request.ts`, method, url];
  const out = await exec(argv, { timeoutMs, input: body === undefined ? '' : JSON.stringify(body) });
  const rows: unknown[][] = out.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const end = rows.at(-1);
  if (out.code !== 0 || end?.[1] !== null) throw new Error(`${method} ${url}: ${out.stderr.trim() || 'no answer in time'}`);
  return { status: Number(end[2]), lines: rows.slice(0, -1).map(([at, text]) => ({ at: Number(at), text: String(text) })) };
}

async function main([method = 'GET', url = '']: readonly string[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const answer = await fetch(url, { method, ...(body.length === 0 ? {} : { body }) });
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) process.stdout.write(`${JSON.stringify([monoMs(), line])}\n`);
  }
  if (rest !== '') process.stdout.write(`${JSON.stringify([monoMs(), rest])}\n`);
  process.stdout.write(`${JSON.stringify([monoMs(), null, answer.status])}\n`);
}

if (import.meta.main) {
  await main(process.argv.slice(2)).catch((error: Error) => {
    process.stderr.write(`${error.cause instanceof Error ? error.cause.message : error.message}\n`);
    process.exitCode = 1;
  });
}
