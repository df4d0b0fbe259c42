// The commented file that `agentctl init` writes: what an operator chose, and beside it what most will want to know next.
import { stringify } from 'yaml';
import type { PresetName } from './presets.ts';

/** A node by id and address. */
export type Place = { readonly id: string; readonly address: string };

/** What the operator chose. */
export type Answers = {
  readonly node: string;
  readonly cluster: string;
  readonly nodes: readonly Place[];
  /** Third vote without Ollama; null = none. */
  readonly witness: Place | null;
  readonly vip: { readonly address: string; readonly interface: string; readonly routerId: number } | null;
  readonly preset: PresetName;
  readonly secretFile: string;
  readonly pki: string;
  /** Its model store. */
  readonly store: string;
};

/** The text of agent.yaml for one node. A witness gets neither `ollama:` nor `vip:`. */
export function agentYaml(answers: Answers): string {
  const candidate = answers.nodes.some((place) => place.id === answers.node);
  return [
    `# ollama-ha on ${answers.node}. Check it with: agentctl config check`,
    '# Everything that is not here has a default; docs/configuration.md describes every key.',
    '# Only `node:` (and `vip.interface`, `ollama:`) differs from node to node.',
    '',
    'node:',
    `  id: ${scalar(answers.node)}`,
    '  # priority: 0          # higher is preferred as heir',
    '  # nofailover: true     # this node never becomes active',
    '',
    ...clusterLines(answers),
    '',
    'pki:                     # from agentctl pki issue',
    `  ca: ${scalar(`${answers.pki}/ca.crt`)}`,
    `  cert: ${scalar(`${answers.pki}/node.crt`)}`,
    `  key: ${scalar(`${answers.pki}/node.key`)}`,
    '',
    'lease:',
    '  # ultra, fast, standard or relaxed: at worst 0.6, 1.0, 2.2 or 6.6 s until a dead node is replaced',
    `  preset: ${answers.preset}`,
    '',
    ...redisLines(answers),
    ...(candidate ? ['', ...ollamaLines(answers)] : []),
    ...(candidate && answers.vip !== null ? ['', ...vipLines(answers.vip)] : []),
    '',
  ].join('\n');
}

function clusterLines(answers: Answers): readonly string[] {
  return [
    'cluster:                 # the same on every node',
    `  name: ${scalar(answers.cluster)}`,
    '  nodes:                 # the Ollama nodes',
    ...answers.nodes.map((place) => `    - ${placeText(place)}`),
    '  # the same file on every node: at least 32 characters, readable by the agent only',
    `  secretFile: ${scalar(answers.secretFile)}`,
  ];
}

function redisLines(answers: Answers): readonly string[] {
  const head = ['redis:', '  managed: true          # the agent runs its own redis-server here'];
  if (answers.witness === null) return [...head, '  # voters: by default all of cluster.nodes; it must be 1, 3 or 5'];
  return [
    ...head,
    '  voters:                # the same on every node; the witness votes but never serves',
    ...[...answers.nodes, answers.witness].map((place) => `    - ${placeText(place)}`),
  ];
}

function ollamaLines(answers: Answers): readonly string[] {
  return [
    'ollama:                  # makes this node a candidate',
    '  url: http://127.0.0.1:11434',
    `  store: ${scalar(answers.store)}`,
    '  required: []           # models without which this node does not take over',
  ];
}

function vipLines(vip: NonNullable<Answers['vip']>): readonly string[] {
  return [
    'vip:                     # lets this node carry the address that clients use',
    '  driver: keepalived',
    `  address: ${scalar(vip.address)}`,
    `  interface: ${scalar(vip.interface)}`,
    `  virtualRouterId: ${vip.routerId}    # unique in the network segment`,
    '  fence: required        # nftables closes the address when the lease ends, whatever else has died',
  ];
}

function placeText(place: Place): string {
  return `{ id: ${scalar(place.id)}, address: ${scalar(place.address)} }`;
}

// In one line and quoted where YAML would read something else (an id of digits, an address with colons).
function scalar(text: string): string {
  const plain = stringify(text, { lineWidth: 0 }).trim();
  return plain === text && text.includes(':') ? JSON.stringify(text) : plain;
}
