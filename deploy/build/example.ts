// The default configuration, commented line by line: every key with what it means, its default, and nothing set that has one.
import { type KeyNode, keyTree } from '../../src/config/keys.ts';

const head = `# Configuration of the ollama-ha agent: copy it to agent.yaml and change it, or let "agentctl init" write a short one.
# Check it with: agentctl config check
# A commented key shows its default. Sections that are absent are off: without "ollama:" this node is a witness.
`;

// What has no default, as a cluster of two nodes and a witness would have it.
const required: Readonly<Record<string, string>> = {
  'cluster.name': 'prod',
  'cluster.nodes': '[{ id: gpu1, address: 10.77.0.1 }, { id: gpu2, address: 10.77.0.2 }]',
  'redis.voters': '[{ id: gpu1, address: 10.77.0.1 }, { id: gpu2, address: 10.77.0.2 }, { id: witness, address: 10.77.0.3 }]',
  'vip.address': '10.77.0.100/24',
  'vip.interface': 'eth0',
};
// Switched on in the example; every other optional section is shown as a comment.
const shown = new Set(['cluster', 'redis', 'ollama', 'vip']);

/** The text of agent.yaml.example. `config check` accepts it on a host named gpu1, gpu2 or witness. */
export function exampleText(): string {
  const sections = Object.entries(keyTree().properties ?? {});
  return [head, ...sections.map(([name, node]) => sectionText(name, node))].join('\n');
}

function sectionText(name: string, node: KeyNode): string {
  const on = shown.has(name);
  const lines = Object.entries(node.properties ?? {}).flatMap(([key, child]) => keyLines(`${name}.${key}`, key, child, '  '));
  return [`# ${node.description ?? ''}`, `${on ? '' : '#'}${name}:`, ...lines, ''].join('\n');
}

function keyLines(path: string, key: string, node: KeyNode, indent: string): readonly string[] {
  const about = wrapped(node.description ?? '', indent);
  const value = required[path];
  if (value !== undefined) return [...about, `${indent}${key}: ${value}`];
  if (node.properties !== undefined) {
    const inner = Object.entries(node.properties).flatMap(([name, child]) => keyLines(`${path}.${name}`, name, child, `${indent}  `));
    return [...about, `${indent}# ${key}:`, ...inner];
  }
  return [...about, `${indent}# ${key}:${node.default === undefined ? '' : ` ${valueText(node.default)}`}`];
}

function valueText(value: unknown): string {
  return typeof value === 'string' && /^[\w./-]+$/.test(value) ? value : JSON.stringify(value);
}

function wrapped(text: string, indent: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 130) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${indent}# ${word}`);
  }
  return lines;
}
