// Writes docs/configuration.md from the schema: `node src/config/reference.ts > docs/configuration.md`. A test keeps the page fresh.
import { type KeyNode, keyTree } from './keys.ts';
import { presets } from './presets.ts';

/** The whole page, Markdown. */
export function referenceText(): string {
  const sections = Object.entries(keyTree().properties ?? {});
  const required = new Set(keyTree().required ?? []);
  return [intro, presetTable(), ...sections.map(([name, node]) => sectionText(name, node, required.has(name)))].join('\n');
}

const intro = `# Configuration

<!-- Generated from src/config/schema.ts by src/config/reference.ts; do not edit. -->

One YAML file per node, \`/etc/ollama-ha/agent.yaml\` or \`--config FILE\`. \`agentctl init\` writes one, \`agentctl config check FILE\` lists every
problem at once, \`agentctl config show --defaults\` prints every value in effect. Unknown keys are errors.

- A section's presence is the capability: \`ollama:\` makes the node a candidate, \`vip:\` lets it carry the address, \`redis.managed\` gives it a vote.
- \`cluster\`, \`redis.voters\` or \`redis.servers\`, \`lease\` and \`ports\` are the same on every node.
- The environment overrides the file: \`OLLAMA_HA_\` and the path joined by \`__\`, such as \`OLLAMA_HA_LEASE__PRESET=fast\` or
  \`OLLAMA_HA_CLUSTER__NODES__0__ADDRESS=10.0.0.1\`. Case and single underscores do not count (\`OLLAMA_HA_LEASE__TTL_MS\`). Values other than text
  are read as YAML.
- Secrets never stand in the file, only paths of files that hold them.
- Two Ollama nodes need a third vote: list a small machine in \`redis.voters\` only (a witness); its own file has no \`ollama:\` section.
`;

function presetTable(): string {
  const rows = Object.entries(presets).map(
    ([name, preset]) => `| ${name} | ${preset.ttlMs} | ${preset.renewMs} | ${preset.pollMs} | ${preset.commandTimeoutMs} |`,
  );
  return [
    '## Presets',
    '',
    '| `lease.preset` | `ttlMs` | `renewMs` | `pollMs` | `redis.commandTimeoutMs` |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Single values may be overridden within these rules: `renewMs + commandTimeoutMs` at most half of `ttlMs`; `ttlMs` at least `3 x renewMs + 150`;',
    '`claimTimeoutMs` below `ttlMs`. `ultra` needs `vip.fence: required`. Without a required fence `lockDelayMs` is at least 1300 (driver `address`: 1100,',
    'and `ttlMs` at least 2000).',
    '',
  ].join('\n');
}

function sectionText(name: string, node: KeyNode, required: boolean): string {
  const keys = rowsOf(node, '');
  return [
    `## \`${name}\`${required ? ' (required)' : ''}`,
    '',
    node.description ?? '',
    '',
    '| key | default | values | meaning |',
    '| --- | --- | --- | --- |',
    ...keys,
    '',
  ].join('\n');
}

function rowsOf(node: KeyNode, prefix: string): readonly string[] {
  const required = new Set(node.required ?? []);
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const row = `| \`${prefix}${key}\` | ${defaultText(child, required.has(key))} | ${valuesText(child)} | ${cell(child.description ?? '')} |`;
    return child.items?.properties === undefined ? [row] : [row, ...rowsOf(child.items, `${prefix}${key}[].`)];
  });
}

function defaultText(node: KeyNode, required: boolean): string {
  if (node.default === undefined) return required ? 'required' : '-';
  return `\`${typeof node.default === 'string' ? node.default : JSON.stringify(node.default)}\``;
}

function valuesText(node: KeyNode): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  if (node.type === 'integer') return rangeText(node);
  if (node.prefixItems !== undefined) return `[${node.prefixItems.map(rangeText).join(', ')}]`;
  if (node.type === 'boolean') return '`true`, `false`';
  return node.type === 'array' ? 'list' : 'text';
}

function rangeText(node: KeyNode): string {
  const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = node;
  return maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum}` : `${minimum} to ${maximum}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (import.meta.main) process.stdout.write(referenceText());
