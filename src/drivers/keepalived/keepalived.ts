// keepalived as the agent deals with it: the files it follows, what it reports, and the reload it needs when its directory was replaced.

import { fifoOf, INSTANCE, vipDirOf } from '../../core/vip/keepalived-conf.ts';
import { type Fifo, openFifo, type VrrpState, type VrrpView } from './fifo.ts';
import { type Files, openFiles } from './files.ts';
import { reloadKeepalived } from './reload.ts';
import { checkScript, type ScriptOutcome } from './script.ts';

/** Both sides of keepalived: `files` are our orders, the rest is what can be seen of it. */
export type Keepalived = {
  readonly files: Files;
  ready(): ScriptOutcome;
  script(): ScriptOutcome;
  untilFault(limitMs: number): Promise<boolean>;
  onChange(listener: () => void): void;
  onState(listener: () => void): void;
  view(): VrrpView;
  overruled(): boolean;
  close(): void;
};

/** Opens files and FIFO below `runDir`. `now` is CLOCK_MONOTONIC in ms. */
export function openKeepalived(options: {
  readonly runDir: string;
  readonly script: string;
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', event: string, text: string) => void;
}): Keepalived {
  const { log } = options;
  const fifo = openFifo(fifoOf(options.runDir), INSTANCE, options.now);
  let deaf = false;
  fifo.onChange(() => {
    // Any word after the replacement shows that it listens again, or is another process.
    deaf = false;
  });
  const files = openFiles({
    dir: vipDirOf(options.runDir),
    now: options.now,
    onRecreated() {
      deaf = !reloadKeepalived();
      const done = deaf ? 'it does not see it; reload it: systemctl reload keepalived' : 'it was told to reload';
      log('error', 'vip.directory', `${vipDirOf(options.runDir)} was removed and recreated behind keepalived: ${done}`);
    },
  });
  return {
    files,
    ready() {
      if (!fifo.alive())
        return {
          ok: false,
          why: `keepalived does not hold ${fifoOf(options.runDir)} open: is it running with the rendered configuration?`,
        };
      return deaf ? { ok: false, why: `keepalived does not watch ${vipDirOf(options.runDir)}: reload it` } : { ok: true };
    },
    script: () => checkScript(options.script),
    untilFault: (limitMs) => untilState(fifo, 'FAULT', limitMs),
    onChange(listener) {
      fifo.onChange((state) => {
        if (!state) listener();
      });
    },
    onState(listener) {
      fifo.onChange((state) => {
        if (state) listener();
      });
    },
    view: () => fifo.view(),
    overruled: () => fifo.overruled(),
    close: () => fifo.close(),
  };
}

function untilState(fifo: Fifo, wanted: VrrpState, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const look = () => {
      if (fifo.state() === wanted) finish(true);
    };
    const finish = (reached: boolean) => {
      clearTimeout(timer);
      stop();
      resolve(reached);
    };
    const timer = setTimeout(() => finish(false), limitMs);
    const stop = fifo.onChange(look);
    look();
  });
}
