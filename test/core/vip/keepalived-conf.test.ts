import { expect, test } from 'vitest';
import { type KeepalivedOptions, renderKeepalived } from '../../../src/core/vip/keepalived-conf.ts';

const nodes = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `gpu${i + 1}`, address: `10.77.0.${i + 1}` }));
const options: KeepalivedOptions = {
  node: { id: 'gpu1', address: '10.77.0.1' },
  nodes: nodes(3),
  vips: ['10.77.0.100/24'],
  interface: 'eth0',
  virtualRouterId: 77,
  runDir: '/run/ollama-ha',
  script: '/usr/libexec/ollama-ha/vip-deadline',
  user: 'ollama-ha',
};

test('three nodes advertise to each other', async () => {
  await expect(renderKeepalived(options)).toMatchFileSnapshot('keepalived-gpu1.conf');
});

test('seventeen nodes use multicast: a hundred adverts a second to each would be too many', () => {
  expect(renderKeepalived({ ...options, nodes: nodes(16) })).toContain('unicast_peer');
  const many = renderKeepalived({ ...options, nodes: nodes(17) });
  expect(many).toContain('mcast_src_ip 10.77.0.1\n');
  expect(many).not.toContain('unicast_peer');
});

test('host names and mixed address families are refused with their names', () => {
  expect(() => renderKeepalived({ ...options, nodes: [{ id: 'gpu2', address: 'gpu2.lan' }] })).toThrow('node gpu2 has gpu2.lan');
  expect(() => renderKeepalived({ ...options, vips: ['fd00::100/64'] })).toThrow('family of the nodes');
  const six = { id: 'gpu2', address: 'fd00::2' };
  expect(() => renderKeepalived({ ...options, nodes: [six] })).toThrow('gpu1 has 10.77.0.1, gpu2 has fd00::2');
});
