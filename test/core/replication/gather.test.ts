import { describe, expect, it } from 'vitest';
import { gather } from '../../../src/core/replication/gather.ts';

describe('gathering', () => {
  it('passes on in order, and at once, what came until the time was up; then it begins anew', () => {
    const [sent, later]: [(readonly number[])[], (() => void)[]] = [[], []];
    const give = gather<number>(
      (run) => later.push(run),
      (items) => sent.push(items),
    );
    give(1);
    give(2);
    expect([sent, later.length]).toEqual([[], 1]);
    later.shift()?.();
    give(3);
    expect(later).toHaveLength(1);
    later.shift()?.();
    expect(sent).toEqual([[1, 2], [3]]);
  });

  it('loses nothing that is given while the last ones are sent', () => {
    const [sent, later]: [(readonly string[])[], (() => void)[]] = [[], []];
    const give: (item: string) => void = gather<string>(
      (run) => later.push(run),
      (items) => {
        sent.push(items);
        if (sent.length === 1) give('during');
      },
    );
    give('first');
    later.shift()?.();
    later.shift()?.();
    expect(sent).toEqual([['first'], ['during']]);
  });
});
