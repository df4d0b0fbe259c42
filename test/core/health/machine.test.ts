import { describe, expect, it } from 'vitest';
import { createHealth, type HealthInput, stepHealth } from '../../../src/core/health/machine.ts';
import type { HealthConfig, Verdict } from '../../../src/core/health/types.ts';

const CONFIG: HealthConfig = { probeMs: 1000, timeoutMs: 2000, failures: 3, recoveries: 2, startMs: 60_000, required: [] };

/** One line of a transcript: ms, what happened, the verdict it must give, and a word of its reason. */
type Line = readonly [atMs: number, input: HealthInput, ollama: Verdict['ollama'], word?: string];

const open: HealthInput = { k: 'conn', up: true };
const shut: HealthInput = { k: 'conn', up: false };
const refused: HealthInput = { k: 'connect', result: 'refused' };
const reached: HealthInput = { k: 'connect', result: 'ok' };
const tick: HealthInput = { k: 'tick' };
const good: HealthInput = { k: 'http', status: 200, ms: 1, version: '0.33.0' };
const silent: HealthInput = { k: 'http', status: 0, ms: 2000, version: '' };

function tags(status: number, ...names: string[]): HealthInput {
  return { k: 'tags', status, ms: 1, names };
}

function ps(status: number, ms = 1): HealthInput {
  return { k: 'ps', status, ms, loaded: [] };
}

function play(lines: readonly Line[], config: HealthConfig = CONFIG): Verdict[] {
  let state = createHealth(config, { mono: 0, boot: 0, wall: 0 });
  return lines.map(([atMs, input, ollama, word], row) => {
    const turn = stepHealth(state, input, { mono: atMs, boot: atMs, wall: atMs });
    state = turn.state;
    const { verdict } = turn;
    expect(`${row} at ${atMs}: ${verdict.ollama}`, verdict.reason).toBe(`${row} at ${atMs}: ${ollama}`);
    if (word !== undefined) expect(verdict.reason).toContain(word);
    return verdict;
  });
}

describe('the verdict over the local Ollama', () => {
  it('is unknown before any evidence, and up with the first good answer', () => {
    const verdicts = play([
      [0, tick, 'unknown', 'not been probed'],
      [10, good, 'up'],
      [11, tags(200, 'a:latest'), 'up', '1 models'],
    ]);
    expect(verdicts[0]?.at).toBe(-Infinity);
    expect(verdicts[2]).toMatchObject({ at: 11, version: '0.33.0' });
  });

  it('is down at once when the held connection closes and a fresh connect is refused', () => {
    play([
      [0, open, 'starting', 'not been asked'],
      [1, good, 'up'],
      [1001, good, 'up'],
      [1500, shut, 'up'],
      [1501, refused, 'down', 'refused'],
    ]);
  });

  it('is down at once when the first connect of all is refused', () => {
    play([[0, refused, 'down', 'nobody listens']]);
  });

  it('stays up when only the held connection was lost and the next one opens', () => {
    play([
      [0, good, 'up'],
      [500, shut, 'up'],
      [501, reached, 'up'],
      [501, open, 'up'],
      [1000, good, 'up'],
    ]);
  });

  it('stays up over one slow answer and over two, and is down at the third in a row', () => {
    play([
      [0, open, 'starting'],
      [1, good, 'up'],
      [3000, silent, 'up', 'one slow answer moves nothing'],
      [5000, silent, 'up'],
      [5100, good, 'up', 'answers in'],
      [8000, silent, 'up'],
      [10_000, silent, 'up'],
      [12_000, silent, 'down', '3 probes in a row'],
    ]);
  });

  it('takes a silent but open port after a death as a start, and as dead when the start takes too long', () => {
    play([
      [0, refused, 'down'],
      [3000, reached, 'down'],
      [3000, open, 'starting'],
      [5000, silent, 'starting', '60 s'],
      [30_000, silent, 'starting'],
      [50_000, silent, 'starting'],
      [62_999, tick, 'starting'],
      [63_000, tick, 'down', 'time to start is over'],
    ]);
  });

  it('wakes at the end of the start window, when silence alone changes the verdict', () => {
    let state = createHealth(CONFIG, { mono: 0, boot: 0, wall: 0 });
    const first = stepHealth(state, open, { mono: 100, boot: 100, wall: 100 });
    expect(first.wakeAt).toBe(60_100);
    state = first.state;
    expect(stepHealth(state, good, { mono: 200, boot: 200, wall: 200 }).wakeAt).toBe(Infinity);
  });

  it('does not grant a new start window to each connection of a listener that never serves', () => {
    play([
      [0, open, 'starting'],
      [2000, silent, 'starting'],
      [30_000, shut, 'starting'],
      [30_000, open, 'starting'],
      [50_000, silent, 'starting'],
      [59_000, silent, 'starting'],
      [60_001, tick, 'down'],
    ]);
  });

  it('believes a return only after good probes in a row', () => {
    play([
      [0, refused, 'down'],
      [3000, open, 'starting'],
      [3010, good, 'starting', '1 of 2'],
      [6000, silent, 'starting', '0 of 2'],
      [7000, good, 'starting', '1 of 2'],
      [8000, good, 'up'],
    ]);
  });

  it('lets a hang heal without a new connection', () => {
    play([
      [0, good, 'up'],
      [2000, silent, 'up'],
      [4000, silent, 'up'],
      [6000, silent, 'down'],
      [6100, good, 'starting'],
      [7100, good, 'up'],
    ]);
  });

  it('calls a busy node degraded, never dead: /api/ps and /api/tags may be silent for ever', () => {
    const lines: Line[] = [[0, good, 'up']];
    for (let i = 1; i <= 20; i++) {
      lines.push([i * 2000, ps(0, 2000), 'degraded', '/api/ps']);
      lines.push([i * 2000 + 1, good, 'degraded']);
    }
    play([...lines, [50_000, ps(200, 1500), 'degraded', 'took 1500 ms'], [51_000, ps(200), 'up']]);
    play([
      [0, good, 'up'],
      [2000, tags(0), 'degraded', 'no usable answer'],
      [9000, tags(0), 'degraded'],
      [9001, tags(200), 'up'],
    ]);
  });

  it('is degraded while the list of models answers 500', () => {
    play([
      [0, good, 'up'],
      [1, tags(500), 'degraded', '/api/tags answers 500'],
      [1000, tags(200), 'up'],
    ]);
  });

  it('is degraded when the version is refused to us, since something answers', () => {
    play([[0, { k: 'http', status: 403, ms: 1, version: '' }, 'degraded', '403']]);
  });

  it('is degraded while a required model is missing, and knows the implied tag and the case', () => {
    const config = { ...CONFIG, required: ['llama3.2', 'MiniCPM-v:latest', 'host.example:5000/a/b'] };
    play(
      [
        [0, good, 'degraded', 'not been read'],
        [1, tags(200, 'llama3.2:latest'), 'degraded', 'MiniCPM-v:latest, host.example:5000/a/b'],
        [2, tags(200, 'llama3.2:latest', 'minicpm-v:latest', 'host.example:5000/a/b:latest'), 'up'],
        [3, tags(200), 'degraded', 'required models are missing here: llama3.2'],
      ],
      config,
    );
  });

  it('does not call a node up that has never answered', () => {
    play([
      [2000, silent, 'unknown', 'not answered yet'],
      [4000, silent, 'unknown'],
      [6000, silent, 'down'],
    ]);
  });

  it('does not blame one question for the silence of the whole process', () => {
    play([
      [0, good, 'up'],
      [2000, silent, 'up'],
      [2001, tags(0), 'up'],
      [2002, ps(0, 2000), 'up'],
      [4000, good, 'up', 'answers in'],
      // Asked at 2100, while nothing answered.
      [4100, ps(0, 2000), 'up'],
      [6101, ps(0, 2000), 'degraded'],
    ]);
  });

  it('does not take a refusal from before the port opened for a death of now', () => {
    const late = (ms: number): HealthInput => ({ k: 'connect', result: 'refused', ms });
    play([
      [0, refused, 'down'],
      [1000, open, 'starting'],
      [1001, late(50), 'starting'],
      [1002, late(1), 'down'],
    ]);
  });

  it('does not blame the scheduler for the time in which the whole process did not answer yet', () => {
    play([
      [0, open, 'starting'],
      [2000, silent, 'starting'],
      [4000, ps(200, 1900), 'starting'],
      [4050, good, 'starting'],
      [4060, ps(200, 1900), 'starting'],
      [4100, good, 'up'],
      // This one was asked when the process answered well.
      [6000, ps(200, 1900), 'degraded', 'scheduler'],
    ]);
  });

  it('forgets what the dead process had listed', () => {
    play([
      [0, good, 'up'],
      [1, tags(500), 'degraded'],
      [2, refused, 'down'],
      [3000, good, 'starting'],
      [4000, good, 'up'],
    ]);
  });
});
