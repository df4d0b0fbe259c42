import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blobName,
  displayName,
  isModelPath,
  isSha256,
  pathOfName,
  sha256OfBlobName,
  sha256OfReference,
} from '../../../src/core/replication/names.ts';

const part = (alphabet: string) =>
  fc
    .tuple(fc.constantFrom(...'aZ0_'), fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 79 }))
    .map(([first, rest]) => first + rest);
const path = fc
  .tuple(part('aB3_.:-'), part('aB3_-'), part('aB3_.-'), part('aB3_.-'))
  .map(([host, namespace, model, tag]) => `${host}/${namespace}/${model}/${tag}`);

describe('names', () => {
  it('accepts every path that the grammar allows', () => {
    fc.assert(fc.property(path, (text) => isModelPath(text)));
  });

  it('never accepts a path that could leave its directory', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'./\\aA0:_\0\n~-'), maxLength: 24 }), (text) => {
        if (!isModelPath(text)) return;
        const parts = text.split('/');
        expect(parts).toHaveLength(4);
        for (const name of parts) expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    'registry.ollama.ai/library/minicpm-v',
    'registry.ollama.ai/library/minicpm-v/latest/x',
    '../library/minicpm-v/latest',
    'registry.ollama.ai/../minicpm-v/latest',
    'registry.ollama.ai/lib.rary/minicpm-v/latest',
    'registry.ollama.ai/library/minicpm-v/.latest',
    'registry.ollama.ai/library/minicpm-v/latest.tmp\n',
    'registry.ollama.ai//minicpm-v/latest',
    `registry.ollama.ai/library/${'m'.repeat(81)}/latest`,
    '/registry.ollama.ai/library/minicpm-v/latest',
  ])('refuses %j', (text) => {
    expect(isModelPath(text)).toBe(false);
  });

  it.each([
    ['minicpm-v', 'registry.ollama.ai/library/minicpm-v/latest'],
    ['minicpm-v:8b', 'registry.ollama.ai/library/minicpm-v/8b'],
    ['user/model:tag', 'registry.ollama.ai/user/model/tag'],
    ['hf.co/user/repo:Q4_K_M', 'hf.co/user/repo/Q4_K_M'],
    ['localhost:5000/user/repo', 'localhost:5000/user/repo/latest'],
  ])('reads the name %s as %s', (name, expected) => {
    expect(pathOfName(name)).toBe(expected);
  });

  it.each(['', ':', 'a/b/c/d', '../x', 'x:', 'x:y:z', '-x'])('has no path for %j', (name) => {
    expect(pathOfName(name)).toBeNull();
  });

  it('shows the shortest form, and reads it back', () => {
    expect(displayName('registry.ollama.ai/library/minicpm-v/latest')).toBe('minicpm-v:latest');
    expect(displayName('registry.ollama.ai/user/m/t')).toBe('user/m:t');
    expect(displayName('hf.co/library/m/t')).toBe('hf.co/library/m:t');
    fc.assert(
      fc.property(path, (text) => {
        expect(pathOfName(displayName(text))).toBe(text);
      }),
    );
  });

  it('knows digests by exactly 64 lower-case hex digits', () => {
    const hex = 'ab'.repeat(32);
    expect([hex, hex.toUpperCase(), hex.slice(1), `${hex}0`, `${hex}\n`, '../../etc/passwd'].map(isSha256)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(sha256OfReference(`sha256:${hex}`)).toBe(hex);
    expect(sha256OfReference(hex)).toBeNull();
    expect(sha256OfBlobName(`sha256-${hex}`)).toBe(hex);
    expect(sha256OfBlobName(`sha256-${hex}-partial`)).toBeNull();
    expect(() => blobName('../../etc/passwd')).toThrow();
  });
});
