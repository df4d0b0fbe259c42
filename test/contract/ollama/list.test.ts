import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { NOT_ASKED, REPLAYED, STAGED } from './list.ts';
import { recordedNames } from './recordings.ts';

it('has a place for every recording, once', () => {
  const listed = [...REPLAYED, ...Object.values(STAGED).flat(), ...Object.keys(NOT_ASKED)];
  expect([...listed].sort()).toEqual([...recordedNames()].sort());
  expect(new Set(listed).size).toBe(listed.length);
});

it('does not shrink: no more than 11 recordings are left out', () => {
  expect(Object.keys(NOT_ASKED).length).toBeLessThanOrEqual(11);
  expect(REPLAYED.length + Object.values(STAGED).flat().length).toBeGreaterThanOrEqual(182);
});

it('names every staged recording in the file that claims it', () => {
  for (const [file, names] of Object.entries(STAGED)) {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    const silent = names.filter((name) => !new RegExp(`(^|[^-\\w])${name}(?![-\\w])`).test(text));
    expect(silent, `${file} must mention them`).toEqual([]);
  }
});
