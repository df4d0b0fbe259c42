import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadScript, missingFrom, renderFence } from '../../../src/core/vip/fence-table.ts';

const options = { interface: 'eth0', vips: ['10.77.0.100'] };
/** What nft prints of the table. */
const listing = renderFence(options).replaceAll('counter drop', 'counter packets 12 bytes 504 drop');

test('the table drops both directions of an address that is not live', async () => {
  await expect(renderFence(options)).toMatchFileSnapshot('fence-v4.nft');
});

test('IPv4 and IPv6 stand in one table', async () => {
  await expect(renderFence({ interface: 'bond0', vips: ['10.77.0.100', 'fd00::100'] })).toMatchFileSnapshot('fence-v4-v6.nft');
});

test('loading replaces an older table in one transaction', () => {
  expect(loadScript(options)).toMatch(/^add table netdev ollama_ha_fence\ndelete table netdev ollama_ha_fence\ntable netdev/);
});

test('a listing of the own table lacks nothing', () => {
  expect(missingFrom(listing, options)).toBe('');
});

test('another interface, a missing rule and a missing address are told', () => {
  expect(missingFrom(listing, { ...options, interface: 'eth1' })).toBe('no ingress hook on eth1');
  expect(missingFrom(listing.replace(/.*ip daddr @vip ip daddr.*\n/, ''), options)).toContain('no rule "ip daddr');
  expect(missingFrom(listing, { ...options, vips: ['10.77.0.10'] })).toBe('10.77.0.10 is not guarded');
  expect(missingFrom('', options)).toBe('no ingress hook on eth0');
});

test('the example in deploy is what is rendered', () => {
  const example = readFileSync(new URL('../../../deploy/nftables/ollama-ha-fence.nft', import.meta.url), 'utf8');
  expect(example.replaceAll(/^#.*\n/gm, '')).toBe(loadScript(options));
});
