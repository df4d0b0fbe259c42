// What the contract suite cannot ask: run_ids, determinism, and that replies are never changed afterwards.
import { expect, test } from 'vitest';
import { createRedisModel, execute, restart, snapshot } from './model.ts';

test('no two servers and no two starts share a run_id, and a seed repeats them', () => {
  const runs = (seed: number) => {
    const model = createRedisModel({ runIdSeed: seed });
    return Array.from({ length: 50 }, () => {
      restart(model, 'empty');
      return model.snap.run;
    });
  };
  const all = Array.from({ length: 100 }, (_, seed) => runs(seed)).flat();
  expect(new Set(all).size).toBe(5000);
  expect(all.every((run) => /^[0-9a-f]{40}$/.test(run))).toBe(true);
  expect(runs(42)).toEqual(runs(42));
});

test('a reply and a snapshot keep what they showed while the server goes on', () => {
  const model = createRedisModel({ runIdSeed: 1 });
  const first = execute(model, { script: 'read', nonce: 't:1' });
  const saved = snapshot(model);
  const frozen = structuredClone({ first, saved });
  execute(model, { script: 'cas', mode: 'claim', run: saved.run, o: '', e: '0', n: 't:1', me: 'gpu1#1', epoch: 1, nonce: 'a:1', meta: '' });
  restart(model, { rollbackTo: saved });
  expect({ first, saved }).toEqual(frozen);
  expect(model.snap).toEqual({ ...saved, run: model.snap.run });
});
