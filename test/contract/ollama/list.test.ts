import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { REPLAYED, STAGED } from './list.ts';
import { recordedNames } from './recordings.ts';

it('compares every recording, once', () => {
  const listed = [...REPLAYED, ...Object.values(STAGED).flat()];
  expect([...listed].sort()).toEqual([...recordedNames()].sort());
  expect(new Set(listed).size).toBe(listed.length);
});

it('names every staged recording in the file that claims it', () => {
  for (const [file, names] of Object.entries(STAGED)) {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    const silent = names.filter((name) => !new RegExp(`(^|[^-\\w])${name}(?![-\\w])`).test(text));
    expect(silent, `${file} must mention them`).toEqual([]);
  }
});
