// Faults of files, addresses and the packet filter on the holder, and a machine under load.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monoMs, vipAddress } from '../../lab/names.ts';
import { runOf } from '../../lab/product.ts';
import { startLoad, stopLoad } from './load.ts';
import type { FaultCase, Scene } from './scene.ts';

/** Runs a program on the holder; the moment of its start. */
const onHolder =
  (...argv: readonly string[]) =>
  async (scene: Scene): Promise<number> => {
    const at = monoMs();
    const out = await scene.holder.exec(argv);
    if (out.code !== 0) throw new Error(`${argv.join(' ')}: ${out.stderr}`);
    return at;
  };

const vipDir = (scene: Scene): string => join(runOf(scene.holder.plan), 'vip');

/** The faults. */
export const fileCases: readonly FaultCase[] = [
  {
    name: 'vip-flushed',
    about: 'the address is taken off the interface by hand',
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: (t) => t.newMs,
    inject: onHolder('ip', 'address', 'flush', 'to', vipAddress, 'dev', 'eth0'),
  },
  {
    name: 'lease-file-garbage',
    about: 'garbage in the file that keepalived follows',
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: (t) => t.newMs,
    inject: async (scene) => {
      const at = monoMs();
      writeFileSync(join(vipDir(scene), 'lease'), 'garbage\n');
      return at;
    },
  },
  {
    name: 'vip-dir-recreated',
    about: "the directory of keepalived's files is removed and made anew",
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: (t) => t.backMs,
    inject: async (scene) => {
      const at = monoMs();
      rmSync(vipDir(scene), { recursive: true, maxRetries: 20, retryDelay: 1 }); // the agent may write into it meanwhile
      mkdirSync(vipDir(scene), { mode: 0o755 });
      return at;
    },
  },
  {
    name: 'fence-flushed',
    about: 'nft flush ruleset on the holder: it must not act under an epoch that relies on the fence',
    lab: 'plain',
    from: 'first failure',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: onHolder('nft', 'flush', 'ruleset'),
  },
  {
    name: 'load',
    about: '100 % CPU, memory pressure and a copy of 10 GB on the holder',
    lab: 'plain',
    from: 'first failure',
    role: 'stays',
    bound: () => Number.POSITIVE_INFINITY,
    once: true,
    inject: async (scene) =>
      startLoad(scene.holder, scene.short ? { copyMiB: 200, memoryShare: 0.1 } : { copyMiB: 10_240, memoryShare: 0.6 }),
    lastsMs: (scene) => (scene.short ? 5000 : 1000 * Number(process.env.LOAD_SECONDS || 600)),
    heal: async (scene) => stopLoad(scene.holder),
  },
];
