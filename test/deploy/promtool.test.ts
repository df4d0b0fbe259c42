// The alert rules by Prometheus' own tool: syntax, and unit tests of what fires and what does not.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { metricTable } from '../../src/drivers/metrics/table.ts';

const root = join(import.meta.dirname, '../..');
const rulesFile = join(root, 'deploy/prometheus/ollama-ha.rules.yml');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const promtool = (...args: string[]) => execFileSync('promtool', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' });

type Rules = { readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[] };
type Units = {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
  }[];
};

test('promtool accepts the rules and the example configuration', () => {
  expect(promtool('check', 'rules', rulesFile)).toContain('SUCCESS');
  expect(promtool('check', 'config', join(root, 'deploy/prometheus/prometheus.yml'))).toContain('SUCCESS');
});

test('the unit tests of the rules pass, and every rule has one in which it fires', () => {
  expect(promtool('test', 'rules', 'rules.test.yml')).toContain('SUCCESS');
  const rules = (parse(readFileSync(rulesFile, 'utf8')) as Rules).groups.flatMap((group) => group.rules.map((rule) => rule.alert));
  const units = (parse(readFileSync(join(import.meta.dirname, 'rules.test.yml'), 'utf8')) as Units).tests;
  const fired = units.flatMap((unit) => unit.alert_rule_test.filter((one) => one.exp_alerts.length > 0).map((one) => one.alertname));
  expect(rules.filter((rule) => !fired.includes(rule))).toEqual([]);
});

test('rules and dashboard name only metrics that exist', () => {
  const known = new Set(metricTable.map((row) => row.name));
  for (const more of ['ollama_ha_failovers_total', 'ollama_ha_failover_duration_seconds_bucket']) known.add(more);
  const used = `${read('deploy/prometheus/ollama-ha.rules.yml')}${read('deploy/grafana/ollama-ha.json')}`.match(/ollama_ha_[a-z_]+/g) ?? [];
  expect(used.length).toBeGreaterThan(40);
  expect(used.filter((name) => !known.has(name))).toEqual([]);
});
