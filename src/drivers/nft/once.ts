// One nft process for one transaction: for the table itself, which is many lines. No questions here: a batch reads the state before its own changes.
import { spawn } from 'node:child_process';

/** What nft said. `missing`: the table, set or element does not exist. */
export type NftAnswer =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: string; readonly missing: boolean };

const OUTPUT_BYTES_MAX = 256 * 1024;

/** Runs one batch by `nft -f -`; killed after `limitMs`, so that it cannot take effect later. Never rejects. */
export function nftOnce(script: string, limitMs: number, program = 'nft'): Promise<NftAnswer> {
  return new Promise((resolve) => {
    const child = spawn(program, ['-f', '-'], { stdio: 'pipe', timeout: limitMs, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out = (out + text).slice(0, OUTPUT_BYTES_MAX);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err = (err + text).slice(0, OUTPUT_BYTES_MAX);
    });
    child.on('error', (error) => resolve({ ok: false, why: `${program}: ${error.message}`, missing: false }));
    child.on('close', (code, signal) => {
      if (code === 0) resolve({ ok: true, text: out });
      else resolve(signal === null ? nftError(err) : { ok: false, why: `nft did not answer within ${limitMs} ms`, missing: false });
    });
    child.stdin.on('error', () => {});
    child.stdin.end(script);
  });
}

/** The first line of what nft complained about. */
export function nftError(stderr: string): NftAnswer & { ok: false } {
  const line = stderr.split('\n').find((text) => text.trim() !== '') ?? 'nft failed without a word';
  return { ok: false, why: line.replace(/^.*?Error: /, '').trim(), missing: line.includes('No such file or directory') };
}
