import { expect, test } from 'vitest';
import { closeLines, expiriesMs, openLines } from '../../../src/drivers/nft/fence.ts';
import { nftError } from '../../../src/drivers/nft/once.ts';

const v4 = { interface: 'eth0', vips: ['10.77.0.100'] };
const both = { interface: 'eth0', vips: ['10.77.0.100', 'fd00::100'] };

test('opening flushes and adds in one transaction, then reads back', () => {
  expect(openLines(v4, 1950)).toBe(
    [
      'flush set netdev ollama_ha_fence live; add element netdev ollama_ha_fence live { 10.77.0.100 timeout 1950ms }',
      'get element netdev ollama_ha_fence live { 10.77.0.100 }',
    ].join('\n'),
  );
  expect(openLines(both, 10)?.split('\n')).toHaveLength(3);
});

test('without time left there is nothing to write', () => {
  expect(openLines(v4, 0)).toBeNull();
  expect(openLines(v4, -5)).toBeNull();
});

test('closing reads every set back', () => {
  expect(closeLines(both).split('\n').slice(1)).toEqual(['list set netdev ollama_ha_fence live', 'list set netdev ollama_ha_fence live6']);
});

test('remaining times are read in every unit', () => {
  const element = (expires: string) => `elements = { 10.77.0.100 timeout 1s948ms expires ${expires} }`;
  expect(expiriesMs(element('1s944ms'))).toEqual([1944]);
  expect(expiriesMs(element('944ms'))).toEqual([944]);
  expect(expiriesMs(element('2s'))).toEqual([2000]);
  expect(expiriesMs(element('1m5s4ms'))).toEqual([65_004]);
  expect(expiriesMs('set live { type ipv4_addr; flags timeout; }')).toEqual([]);
});

test('an error is its first line, and a missing table is recognised', () => {
  expect(nftError('/dev/stdin:1:18-18: Error: No such file or directory\nlist table\n     ^^^\n')).toEqual({
    ok: false,
    why: 'No such file or directory',
    missing: true,
  });
  expect(nftError('Error: syntax error, unexpected string\n')).toMatchObject({ why: 'syntax error, unexpected string', missing: false });
});
