// A process that does nothing but hold the address: real drivers, wants from stdin, facts to stdout. Run inside a namespace by stage.ts.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Input, VipWant } from '../../../src/core/io.ts';
import { openVip } from '../../../src/wire-vip.ts';

/** An order to the holder. `keep`: renews by itself each `everyMs`, as a live agent would. */
export type HolderOrder =
  | { readonly k: 'want'; readonly want: VipWant }
  | { readonly k: 'keep'; readonly epoch: number; readonly windowMs: number; readonly everyMs: number };

/** A line from the holder; `at` is CLOCK_MONOTONIC in ms, which all processes of the machine share. */
export type HolderLine =
  | { readonly k: 'fact'; readonly at: number; readonly fact: Input }
  | { readonly k: 'log'; readonly at: number; readonly event: string; readonly text: string };

const [runDir = '', script = '', driver = 'keepalived', streamPort = '0', fence = 'required', ...addresses] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const say = (line: HolderLine) => process.stdout.write(`${JSON.stringify(line)}\n`);

const vip = openVip({
  vip: {
    driver: driver === 'address' ? 'address' : 'keepalived',
    addresses,
    interface: 'eth0',
    fence: fence === 'required' ? 'required' : 'off',
    lifetimes: fence === 'lifetimes',
  },
  runDir,
  script,
  now,
  sink: (fact) => say({ k: 'fact', at: now(), fact }),
  log: (_level, event, text) => say({ k: 'log', at: now(), event, text }),
});

// A client of the address that reads a stream: one byte now, the next never.
createServer((socket) => {
  socket.on('error', () => {});
  socket.write('.');
}).listen(Number(streamPort), '::');

let keeping: NodeJS.Timeout | undefined;
createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as HolderOrder;
  clearInterval(keeping);
  if (order.k === 'want') return vip.apply(order.want);
  const renew = () => vip.apply({ on: true, epoch: order.epoch, enforceAt: now() + order.windowMs });
  keeping = setInterval(renew, order.everyMs);
  renew();
});
