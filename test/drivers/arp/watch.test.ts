import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type WireFact, watchArp } from '../../../src/drivers/arp/watch.ts';

const [a, b] = ['52:54:00:00:00:01', '52:54:00:00:00:02'];
const temp = mkdtempSync(join(tmpdir(), 'arp-watch-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

/** What the watch tells when its looks see these, one after the other; the last one for ever. */
async function told(looks: readonly (readonly string[])[], count: number): Promise<readonly (readonly string[])[]> {
  const dir = mkdtempSync(join(temp, 'looks-'));
  const reply = (mac: string) => `echo 'Unicast reply from 10.77.0.100 [${mac}]  0.5ms'`;
  looks.forEach((macs, i) => {
    writeFileSync(join(dir, `look-${i}`), ['sleep 0.02', ...macs.map(reply)].join('\n'));
  });
  writeFileSync(join(dir, 'n'), '0');
  const program = join(dir, 'arping');
  writeFileSync(
    program,
    `#!/bin/sh\nn=$(cat ${dir}/n)\n. ${dir}/look-$n\n[ -e ${dir}/look-$((n + 1)) ] && echo $((n + 1)) > ${dir}/n\nexit 0\n`,
  );
  chmodSync(program, 0o755);
  const facts: (readonly string[])[] = [];
  await new Promise<void>((resolve) => {
    const watch = watchArp({ address: '10.77.0.100', interface: 'lo', program, sink });
    function sink(fact: WireFact): void {
      if (fact.macs.length > 0) facts.push(fact.macs);
      if (facts.length < count) return;
      watch.close();
      resolve();
    }
    watch.active(true);
  });
  return facts;
}

test('an address that moves during a look has had one owner at a time: only the newer one is told', async () => {
  expect(await told([[a], [a, b], [b]], 3)).toEqual([[a], [b], [b]]);
});

test('two machines that go on answering are told both', async () => {
  expect(await told([[a], [a, b]], 3)).toEqual([[a], [a, b], [a, b]]);
});
