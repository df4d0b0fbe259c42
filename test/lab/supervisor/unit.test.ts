import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../names.ts';
import { expand, parseUnit, spanMs, UnitError } from './unit.ts';

const unit = (text: string, ...dropIns: string[]) => parseUnit([text, ...dropIns].map((t, i) => ({ path: `file${i}`, text: t })));
const deployed = (...names: string[]) =>
  parseUnit(names.map((name) => join(projectRoot, 'deploy/systemd', name)).map((path) => ({ path, text: readFileSync(path, 'utf8') })));

test('a drop-in adds to the lists of its unit and replaces its single values', () => {
  const merged = unit(
    '[Service]\nExecStart=/bin/a\nRestart=no\nEnvironment=A=1 B=2\n',
    '[Service]\nRestart=always\nRestartSec=250ms\nEnvironment=B=3\n',
  );
  expect(merged.restart).toBe('always');
  expect(merged.restartMs).toBe(250);
  expect(merged.environment).toEqual({ A: '1', B: '3' });
});

test('the priority of the agent is the deployed one', () => {
  expect(deployed('ollama-ha-agent.service').nice).toBe(-10);
  expect(unit('[Service]\nExecStart=/bin/a\n').nice).toBe(0);
});

test('an empty value in a drop-in resets a list', () => {
  const merged = unit('[Service]\nExecStart=/bin/a\nExecStopPost=/bin/x\n', '[Service]\nExecStopPost=\nExecStopPost=-/bin/y "two words"\n');
  expect(merged.stopPost).toEqual([{ words: ['/bin/y', 'two words'], mayFail: true }]);
});

test('variables are substituted inside words, and split into words when they stand alone', () => {
  const { start } = unit(`[Service]\nExecStart=/bin/a --file=\${FILE} $ARGS \${ARGS} $NONE\n`);
  expect(expand(start, { FILE: '/x y', ARGS: '-n  -l' })).toEqual(['/bin/a', '--file=/x y', '-n', '-l', '-n  -l']);
});

test('time spans are read in every spelling our units use', () => {
  expect(['100ms', '2s', '15', '1min 30s', '0'].map(spanMs)).toEqual([100, 2000, 15_000, 90_000, 0]);
  expect(() => spanMs('soon')).toThrow(UnitError);
});

test('what the supervisor would ignore silently is refused', () => {
  expect(() => unit('[Service]\nExecStart=/bin/a %i\n')).toThrow(/specifiers/);
  expect(() => unit('[Service]\nExecStart=/bin/a\nRestart=on-abort\n')).toThrow(/Restart=on-abort/);
  expect(() => unit('[Service]\nRestart=no\n')).toThrow(/no ExecStart=/);
  expect(() => unit('[Service]\nnonsense\n')).toThrow(/line 2/);
});

test('the agent comes back within 100 ms, without limit, after its stop hook, and its Redis is left alone', () => {
  const agent = deployed('ollama-ha-agent.service');
  expect(agent).toMatchObject({ restart: 'always', restartMs: 100, finalCodes: [78], killMode: 'process', startLimit: { intervalMs: 0 } });
  expect(agent.stopPost.map((c) => c.words)).toEqual([['/usr/bin/agentctl', 'fence', '--local']]);
  expect(expand(agent.start, agent.environment)).toEqual(['/usr/bin/ollama-ha-agent', '--config', '/etc/ollama-ha/agent.yaml']);
});

test('keepalived with our drop-in comes back and leaves no address behind', () => {
  const dropIn = readFileSync(join(projectRoot, 'deploy/systemd/keepalived.service.d/ollama-ha.conf'), 'utf8');
  const keepalived = unit('[Service]\nType=notify\nExecStart=/usr/sbin/keepalived --dont-fork $DAEMON_ARGS\n', dropIn);
  expect(keepalived).toMatchObject({ restart: 'always', restartMs: 100, startLimit: { intervalMs: 0 } });
  expect(keepalived.stopPost.map((c) => expand(c, keepalived.environment).join(' '))).toEqual([
    '/usr/sbin/ip address flush to 10.77.0.100 dev eth0',
  ]);
});

test('no unit asks systemd for a run-time directory, which would be recreated under keepalived', () => {
  for (const name of ['ollama-ha-agent.service', 'ollama-ha-fence.service', 'keepalived.service.d/ollama-ha.conf']) {
    const text = readFileSync(join(projectRoot, 'deploy/systemd', name), 'utf8');
    expect(text.split('\n').filter((line) => line.startsWith('RuntimeDirectory'))).toEqual([]);
  }
});
