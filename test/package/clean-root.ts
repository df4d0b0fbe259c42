// A clean Debian of the package's release in a tar file, made once: mmdebstrap's smallest variant and what the package depends on or recommends.
// Run as a program it only makes the tar, so that other tests can run meanwhile.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache');
const release = 'bookworm';
const packages = ['adduser', 'iproute2', 'iputils-arping', 'keepalived', 'libatomic1', 'nftables', 'procps', 'redis-server'];
const tar = join(cache, `clean-${release}-${packages.join('-')}.tar`);
const lock = `${tar}.lock`;
const WAIT_MS_MAX = 400_000;

/** Path of the tar; makes it, or waits for the process that is making it. */
export async function cleanRootTar(): Promise<string> {
  mkdirSync(cache, { recursive: true });
  for (const until = performance.now() + WAIT_MS_MAX; !existsSync(tar); await sleep(200)) {
    if (performance.now() > until) throw new Error(`${tar} was not made in time; remove ${lock} if nobody is making it`);
    if (!taken()) continue;
    try {
      await make();
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return tar;
}

/** A directory is made by one process only. */
function taken(): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false;
  }
}

async function make(): Promise<void> {
  const half = `${tar}.half.tar`;
  await run('mmdebstrap', ['--quiet', '--mode=root', '--variant=minbase', `--include=${packages.join(',')}`, release, half]);
  renameSync(half, tar);
}

if (import.meta.main) await cleanRootTar();
