import { expect, test } from 'vitest';
import { type BalanceNode, type BalancePolicy, type UpstreamServer, upstreamOf } from '../../../src/core/balance/upstream.ts';
import { upstreamText } from '../../../src/drivers/nginx/render.ts';

const node = (name: string, more: Partial<BalanceNode> = {}): BalanceNode => ({
  node: name,
  host: `10.77.0.${name.slice(-1)}`,
  active: false,
  fit: true,
  draining: false,
  complete: true,
  ...more,
});
const standby: BalancePolicy = { k: 'active-standby' };
const weighted: BalancePolicy = {
  k: 'weighted',
  weights: new Map([
    ['gpu1', 3],
    ['gpu2', 2],
    ['gpu3', 0],
  ]),
};
const words = (servers: readonly UpstreamServer[]): string =>
  servers.map((s) => `${s.node}${s.backup ? ' backup' : ` ${s.weight}`}`).join(', ');

test('active-standby lists the active, and the other fit nodes as backups', () => {
  expect(words(upstreamOf([node('gpu2'), node('gpu1', { active: true }), node('gpu3', { fit: false })], standby))).toBe(
    'gpu1 1, gpu2 backup',
  );
});

test('without an active node the best heir that has all models stands for it', () => {
  expect(words(upstreamOf([node('gpu3', { complete: false }), node('gpu2'), node('gpu1')], standby))).toBe(
    'gpu1 backup, gpu2 1, gpu3 backup',
  );
});

test('a draining node leaves at once, unless it is the only one', () => {
  expect(words(upstreamOf([node('gpu1', { active: true, draining: true }), node('gpu2')], standby))).toBe('gpu2 1');
  expect(words(upstreamOf([node('gpu1', { active: true, draining: true })], standby))).toBe('gpu1 1');
});

test('with nobody fit all that do not drain are listed', () => {
  const nodes = [node('gpu1', { fit: false }), node('gpu2', { fit: false }), node('gpu3', { draining: true })];
  expect(words(upstreamOf(nodes, standby))).toBe('gpu1 1, gpu2 backup');
});

test('weighted gives each its weight; weight 0 and missing models make a backup', () => {
  expect(words(upstreamOf([node('gpu1', { active: true }), node('gpu2'), node('gpu3')], weighted))).toBe('gpu1 3, gpu2 2, gpu3 backup');
  expect(words(upstreamOf([node('gpu1', { active: true }), node('gpu2', { complete: false })], weighted))).toBe('gpu1 3, gpu2 backup');
});

test('a list of nothing but backups, which nginx refuses, is never made', () => {
  expect(words(upstreamOf([node('gpu3')], weighted))).toBe('gpu3 1');
});

test('the file names each server with its port, IPv6 in brackets', () => {
  const servers = [
    { node: 'gpu1', host: '10.77.0.1', weight: 3, backup: false },
    { node: 'gpu2', host: 'fd00::2', weight: 1, backup: true },
  ];
  const text = upstreamText('ollama_ha', 11434, servers);
  expect(text).toContain('upstream ollama_ha {\n    server 10.77.0.1:11434 weight=3 max_fails=1 fail_timeout=2s; # gpu1\n');
  expect(text).toContain('    server [fd00::2]:11434 weight=1 max_fails=1 fail_timeout=2s backup; # gpu2\n}');
});
