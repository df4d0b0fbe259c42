// The packaged agent tells the host's keepalived to read its file again: as another user, which may not look into root's processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { run } from '../lab/command.ts';

const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'keepalived-rights-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('with the capabilities of the unit the signal arrives, by the pid file of keepalived', async () => {
  const unit = readFileSync(join(root, 'deploy/systemd/ollama-ha-agent.service'), 'utf8');
  const caps = (/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? '')
    .split(' ')
    .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`);
  // Any program under its name: SIGHUP ends this one.
  copyFileSync('/bin/sleep', join(dir, 'keepalived'));
  const keepalived = spawn(join(dir, 'keepalived'), ['60']);
  const ended = once(keepalived, 'exit');
  const set = caps.join(',');
  const program = `import { reloadKeepalived } from '${join(root, 'src/drivers/keepalived/reload.ts')}'; console.log(reloadKeepalived());`;
  const out = await run([
    ...['unshare', '-m', 'sh', '-c', `mount -t tmpfs run /run && echo ${keepalived.pid} > /run/keepalived.pid && exec "$@"`, 'sh'],
    ...['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--no-new-privs'],
    ...[`--inh-caps=${set}`, `--ambient-caps=${set}`, `--bounding-set=-all,${set}`],
    ...[process.execPath, '--input-type=module', '-e', program],
  ]);
  expect(out.stdout.trim(), out.stderr).toBe('true');
  expect((await ended)[1]).toBe('SIGHUP');
});
