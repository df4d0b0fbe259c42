// The agent of a balancer host as its unit confines it: its own user, the unit's capabilities, everything read-only but what the drop-in opens. Real nginx.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Outcome, run } from '../lab/command.ts';

const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'nginx-rights-'));
const deployed = (file: string) => readFileSync(join(root, 'deploy/systemd', file), 'utf8');
const value = (text: string, key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
const unit = deployed('ollama-ha-agent.service');
let nginx: ChildProcess;

/** The places of the drop-in, below the directory of this test. */
const opened = value(deployed('ollama-ha-agent.service.d/nginx.conf'), 'ReadWritePaths')
  .split(' ')
  .map((path) => join(dir, path));

beforeAll(async () => {
  for (const path of opened) mkdirSync(path, { recursive: true });
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
  writeFileSync(join(dir, 'etc/nginx/ollama-ha/upstream.conf'), 'upstream ollama_ha { server 127.0.0.1:9; }\n');
  writeFileSync(
    join(dir, 'nginx.conf'),
    `user root; worker_processes 1; pid ${dir}/run/nginx.pid; error_log ${dir}/var/log/nginx/error.log notice; events {}
http { access_log off; ${temp} include ${dir}/etc/nginx/ollama-ha/upstream.conf; server { listen unix:${dir}/nginx.sock; location / { proxy_pass http://ollama_ha; } } }
`,
  );
  nginx = spawn('/usr/sbin/nginx', ['-e', join(dir, 'var/log/nginx/error.log'), '-c', join(dir, 'nginx.conf'), '-g', 'daemon off;'], {
    stdio: 'ignore',
  });
  await vi.waitFor(() => expect(log()).toContain('start worker process'), 10_000);
});
afterAll(() => {
  nginx?.kill('SIGTERM');
  rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

function log(): string {
  try {
    return readFileSync(join(dir, 'var/log/nginx/error.log'), 'utf8');
  } catch {
    return '';
  }
}

const driver = `
import { openNginx } from '${join(root, 'src/drivers/nginx/nginx.ts')}';
const [dir] = process.argv.slice(1);
const nginx = openNginx({ file: dir + '/etc/nginx/ollama-ha/upstream.conf', upstream: 'ollama_ha', port: 11434, program: '/usr/sbin/nginx', config: dir + '/nginx.conf', log: () => {} });
nginx.apply([{ node: 'gpu1', host: '10.77.0.1', weight: 1, backup: false }]);
while (nginx.view().problem === '' && nginx.view().reloads === 0) await new Promise((resolve) => setTimeout(resolve, 20));
console.log(JSON.stringify(nginx.view()));
await nginx.close();
`;

/** Runs the driver as the unit would, with these places open for writing. */
function confined(places: readonly string[]): Promise<Outcome> {
  const caps = (key: string) =>
    value(unit, key)
      .split(' ')
      .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
      .join(',');
  const binds = places.map((path) => `mount --bind ${path} ${path} && `).join('');
  const script = `mount --make-rprivate / && mount --bind ${dir} ${dir} && ${binds}mount -o remount,bind,ro ${dir} && exec "$@"`;
  const ambient = caps('AmbientCapabilities');
  return run([
    ...['unshare', '-m', 'sh', '-c', script, 'sh', 'setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--no-new-privs'],
    ...[`--inh-caps=${ambient}`, `--ambient-caps=${ambient}`, `--bounding-set=-all,${caps('CapabilityBoundingSet')}`],
    ...[process.execPath, '--input-type=module', '-e', driver, dir],
  ]);
}

test('the unit alone lets it write no upstream file, and that is what status says', async () => {
  const out = await confined([]);
  expect(out.stdout + out.stderr).toContain('the upstream file cannot be written');
});

test('with the drop-in the file is written, tested and loaded by the running nginx', async () => {
  const out = await confined(opened);
  expect(JSON.parse(out.stdout || `"${out.stderr}"`)).toEqual({ problem: '', reloads: 1, servers: 1 });
  expect(readFileSync(join(dir, 'etc/nginx/ollama-ha/upstream.conf'), 'utf8')).toContain('server 10.77.0.1:11434');
  await expect.poll(log, { timeout: 5000 }).toContain('reconfiguring');
});
