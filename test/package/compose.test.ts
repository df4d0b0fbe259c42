// The composition gives the agent what the unit gives it, and nothing more.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import about from '../../package.json' with { type: 'json' };

const deploy = join(import.meta.dirname, '../../deploy');
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');
const { services, volumes } = parse(read('compose/compose.yaml'));

test('the agent has the capabilities of the unit, the host network and no other right', () => {
  const unit = /^CapabilityBoundingSet=(.*)$/m.exec(read('systemd/ollama-ha-agent.service'))?.[1] ?? '';
  expect(services.agent.cap_drop).toEqual(['ALL']);
  expect(services.agent.cap_add.map((name: string) => `CAP_${name}`)).toEqual(unit.split(' '));
  expect(services.agent).toMatchObject({ network_mode: 'host', read_only: true, security_opt: ['no-new-privileges:true'] });
  expect(services.agent.privileged).toBeUndefined();
});

test('both services share one model store, and every named volume is declared', () => {
  const named = [services.ollama, services.agent].flatMap((service: { volumes: string[] }) =>
    service.volumes.map((volume) => volume.split(':')[0] ?? ''),
  );
  const own = named.filter((name) => !name.startsWith('/'));
  expect(new Set(own)).toEqual(new Set(Object.keys(volumes)));
  expect(own.filter((name) => name === 'models')).toHaveLength(2);
});

test('the image is made of the package of this version, by files that exist', () => {
  const { context, dockerfile } = services.agent.build;
  expect(existsSync(join(deploy, 'compose', context, dockerfile))).toBe(true);
  expect(read('compose/Dockerfile')).toContain(`DEB=ollama-ha_${about.version}_amd64.deb`);
});
