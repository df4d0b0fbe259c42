// The commands that ask the agent something else than status, and what a wrong command line gets.
import { afterEach, describe, expect, test } from 'vitest';
import { ControlService } from '../../src/gen/control.ts';
import { type Answers, type FakeControl, failing, healthyAnswers, startFakeControl } from './fake-control.ts';
import { agentctl } from './run.ts';

let fake: FakeControl | undefined;

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

async function run(argv: readonly string[], answers: Partial<Answers> = {}, env: Record<string, string> = {}) {
  fake = await startFakeControl(answers);
  return await agentctl([...argv, '--socket', fake.socket], { env });
}

describe('explain', () => {
  test('a node that may take over ends with 0', async () => {
    const ran = await run(['explain', 'gpu2']);
    expect(ran).toMatchObject({ code: 0, out: 'gpu2 may take over\nfacts:\n  rank 0\n  models 5 of 5\n' });
  });

  test('every veto is listed with its numbers, and ends with 1', async () => {
    const vetoes = [
      { code: 'models', text: '3 of 5 complete, 31 GB behind' },
      { code: 'nofailover', text: 'set in its configuration' },
    ];
    const answer = { node: 'gpu3', mayTakeOver: false, vetoes, facts: [] };
    const ran = await run(['explain', 'gpu3'], { explain: answer });
    expect(ran.code).toBe(1);
    expect(ran.out).toBe('gpu3 may not take over\n  models      3 of 5 complete, 31 GB behind\n  nofailover  set in its configuration\n');
    fake?.stop();
    expect(JSON.parse((await run(['explain', 'gpu3', '--json'], { explain: answer })).out)).toEqual(answer);
  });

  test('an unknown node is refused with the words of the agent', async () => {
    const ran = await run(['explain', 'gpu9'], { explain: failing('NOT_FOUND', 'there is no node gpu9') });
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/^agentctl: there is no node gpu9: .*\nTry: /);
  });
});

describe('history', () => {
  test('the newest change stands first', async () => {
    await expect((await run(['history', '-n', '2'])).out).toMatchFileSnapshot('snapshots/history.txt');
  });

  test('an empty history says so, and is an empty list for machines', async () => {
    expect((await run(['history'], { history: { entries: [] } })).out).toBe('no change of holder has been recorded yet\n');
    fake?.stop();
    expect(JSON.parse((await run(['history', '--json'], { history: { entries: [] } })).out)).toEqual({ entries: [] });
  });

  test('JSON has plain numbers', async () => {
    const { entries } = JSON.parse((await run(['history', '--json'])).out);
    expect(entries[0]).toMatchObject({ epoch: 1795521600251, atMs: 1795525200251, phasesMs: { revoke: 3.4, claim: 1.9 } });
  });
});

test('models are a table with one column per node', async () => {
  await expect((await run(['models'])).out).toMatchFileSnapshot('snapshots/models.txt');
});

describe('switchover', () => {
  test('says who moves where, under which epoch, and tells the agent who asked', async () => {
    const ran = await run(['switchover', '--to', 'gpu2'], {}, { SUDO_USER: 'ann', USER: 'root' });
    expect(ran).toMatchObject({ code: 0, out: 'done: gpu2 is active, epoch 1795521600252 (revoke 3, claim 2 ms)\n' });
    expect(fake?.switchovers).toEqual([{ to: 'gpu2', by: 'ann', dryRun: false, atMs: 0n, cancel: false }]);
  });

  test('--dry-run asks without moving', async () => {
    const ran = await run(['switchover', '--dry-run']);
    expect(ran.out).toMatch(/^dry run, done: /);
    expect(fake?.switchovers).toMatchObject([{ to: '', dryRun: true }]);
  });

  test.each([
    ['refused', 1],
    ['nothing', 2],
    ['incomplete', 5],
    ['unknown', 6],
    ['something of a newer agent', 6],
  ])('the outcome %s ends with %i', async (outcome, code) => {
    const switchover = { outcome, text: 'because', vetoes: ['gpu2: models 3/5'], epoch: 0n, phasesMs: {} };
    const ran = await run(['switchover', '--json'], { switchover });
    expect(ran.code).toBe(code);
    expect(JSON.parse(ran.out)).toMatchObject({ outcome, vetoes: ['gpu2: models 3/5'] });
  });

  test('a refusal lists the vetoes and what to try', async () => {
    const switchover = { outcome: 'refused', text: 'gpu3 may not take over', vetoes: ['models 3/5'], epoch: 0n, phasesMs: {} };
    const ran = await run(['switchover', '--to', 'gpu3'], { switchover });
    expect(ran.out).toBe('refused: gpu3 may not take over\n  models 3/5\nTry: agentctl explain NODE lists every reason against a node\n');
  });

  test('no answer after the order was sent is an unknown result, 6', async () => {
    const ran = await run(['switchover', '--timeout', '0.2'], { switchover: 'hang' });
    expect(ran.code).toBe(6);
    expect(ran.err).toContain('the result is unknown (no answer within 0.2 s)');
    expect(fake?.calls).toEqual(['status', 'switchover']);
  });

  test('an agent that cannot be reached at all is 4: nothing was ordered', async () => {
    expect((await agentctl(['switchover', '--socket', '/nonexistent'])).code).toBe(4);
  });
});

describe('a wrong command line ends with 64 and says what to try', () => {
  test.each([
    [['stauts'], "agentctl: unknown command 'stauts'\nTry: agentctl status\n"],
    [['status', '--jsno'], "agentctl: unknown option '--jsno'\nTry: --json\n"],
    [['explain'], "agentctl: missing required argument 'node'\nTry: agentctl --help, or agentctl COMMAND --help\n"],
    [
      ['history', '-n', 'many'],
      "agentctl: option '-n, --limit <count>' argument 'many' is invalid. It must be a whole number from 1 to 1000.\nTry: agentctl --help, or agentctl COMMAND --help\n",
    ],
    [['status', '--host', 'a b'], 'agentctl: not a host: --host a b\nTry: write HOST, HOST:PORT or [IPV6]:PORT\n'],
    [['pki', 'issue', '--dir', '/x', '--out', '/y'], 'agentctl: name either --node or --operator\nTry: agentctl pki issue --help\n'],
  ])('%j', async (argv, err) => {
    expect(await agentctl(argv)).toEqual({ code: 64, out: '', err });
  });

  test('no command at all shows the help on standard error', async () => {
    const ran = await agentctl([]);
    expect(ran.code).toBe(64);
    expect(ran.out).toBe('');
    expect(ran.err).toContain('switchover');
  });

  test('in JSON too', async () => {
    const ran = await agentctl(['status', '--json', '--nonsense']);
    expect(JSON.parse(ran.out).error).toMatchObject({ code: 'usage', exitCode: 64 });
  });
});

test.each([[['--help']], [['help', 'status']], [['status', '--help']]])('%j is not an error', async (argv) => {
  const ran = await agentctl(argv);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(ran.out).toContain('--socket');
});

test('version needs no agent', async () => {
  expect((await agentctl(['version'])).out).toMatch(/^agentctl \d+\.\d+\.\d+ \(Node \d+\./);
  expect(JSON.parse((await agentctl(['version', '--json'])).out)).toMatchObject({ name: 'ollama-ha' });
});

test('the answers of the fake cover every call of the service', () => {
  expect(Object.keys(healthyAnswers())).toEqual(Object.keys(ControlService));
});
