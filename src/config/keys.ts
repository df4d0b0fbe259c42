// The tree of keys that the schema knows: for "did you mean", for environment variables, and for the reference page.
import { z } from 'zod';
import { fileSchema } from './schema.ts';

/** One key of the file, as JSON Schema describes it. */
export type KeyNode = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, KeyNode>>;
  readonly items?: KeyNode;
  readonly prefixItems?: readonly KeyNode[];
};

type Path = readonly (string | number)[];

let tree: KeyNode | undefined;

/** The whole tree; made once, on first use. */
export function keyTree(): KeyNode {
  tree ??= z.toJSONSchema(fileSchema, { io: 'input' }) as KeyNode;
  return tree;
}

/** The node at a path, or null when the schema has none there. */
export function keyAt(path: Path): KeyNode | null {
  let node: KeyNode | undefined = keyTree();
  for (const part of path) {
    node = typeof part === 'number' ? (node?.prefixItems?.[part] ?? node?.items) : node?.properties?.[part];
  }
  return node ?? null;
}

/** Names of the keys below a path; empty when it has none. */
export function keysAt(path: Path): readonly string[] {
  return Object.keys(keyAt(path)?.properties ?? {});
}

/** The one known key that `word` probably means, or null. Case, hyphens and underscores do not count; one slip in three letters is forgiven. */
export function closest(word: string, known: readonly string[]): string | null {
  const plain = bare(word);
  const ranked = known
    .map((name) => ({ name, slips: distance(plain, bare(name)) }))
    .filter(({ name, slips }) => slips <= Math.max(1, Math.floor(bare(name).length / 3)))
    .sort((a, b) => a.slips - b.slips);
  return ranked[0]?.name ?? null;
}

/** Sections in which a key of this name exists, e.g. `lease` for `ttlMs`. */
export function sectionsWith(key: string): readonly string[] {
  return keysAt([]).filter((section) => keysAt([section]).some((name) => bare(name) === bare(key)));
}

/** A key without what people write differently: case, `_` and `-`. */
export function bare(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, '');
}

// Levenshtein distance, bounded by the length of keys; longer words cannot be slips of one.
function distance(a: string, b: string): number {
  if (a.length > 64) return a.length;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
