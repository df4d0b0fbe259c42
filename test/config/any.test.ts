// Whatever the configuration file holds: a configuration, or at least one problem in words; never an exception.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';

const text = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.json(),
  fc
    .record(
      {
        node: fc.jsonValue(),
        cluster: fc.jsonValue(),
        lease: fc.oneof(fc.record({ preset: fc.constantFrom('ultra', 'standard', 'x'), ttlMs: fc.integer() }), fc.jsonValue()),
        redis: fc.jsonValue(),
        vip: fc.jsonValue(),
        ollama: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);

test('any text, and any value of any section', () => {
  fc.assert(
    fc.property(text, fc.constantFrom('gpu1', 'not a label', ''), (file, host) => {
      const result = parseConfig(file, 'agent.yaml', {}, host);
      if ('config' in result) return;
      expect(result.problems.length).toBeGreaterThan(0);
      for (const { message } of result.problems) expect(message).not.toBe('');
    }),
    { numRuns: 200 },
  );
});

test('any value in the environment', () => {
  const name = fc.constantFrom('OLLAMA_HA_LEASE__PRESET', 'OLLAMA_HA_NODE', 'OLLAMA_HA_REDIS__VOTERS__0', 'OLLAMA_HA___', 'OLLAMA_HA_X__Y');
  fc.assert(
    fc.property(fc.dictionary(name, fc.string()), (env) => void parseConfig('node: { id: a }\n', 'agent.yaml', env, 'a')),
    { numRuns: 200 },
  );
});
