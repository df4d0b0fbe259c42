// keepalived.conf as keepalived reads it: with the files it includes, in their order.
import { globSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

/** The text of a file and of everything it includes. `missing`: included, but not there or not readable. */
export type WholeFile = { readonly text: string; readonly files: readonly string[]; readonly missing: readonly string[] };

const DEPTH_MAX = 8;
const FILES_MAX = 64;
const BYTES_MAX = 1_048_576;

/** Reads `file` with its includes; null when it cannot be read itself. Bounded in depth, count and size: what is beyond counts as missing. */
export function readWhole(file: string): WholeFile | null {
  const files: string[] = [];
  const missing: string[] = [];
  let bytes = 0;

  function read(path: string, depth: number): string {
    const text = depth > DEPTH_MAX || files.length >= FILES_MAX ? null : readOr(path);
    bytes += text?.length ?? 0;
    if (text === null || bytes > BYTES_MAX) {
      missing.push(path);
      return '';
    }
    files.push(path);
    return text.replaceAll(INCLUDE, (_line, name: string) =>
      pathsOf(name, dirname(path))
        .map((found) => read(found, depth + 1))
        .join('\n'),
    );
  }

  const text = read(file, 0);
  return files.length === 0 ? null : { text, files, missing };
}

const INCLUDE = /^[ \t]*include[rmwbgas]*[ \t]+"?([^\s"#!]+)"?.*$/gm;

// A pattern that fits nothing includes nothing; a name that fits nothing is a file that is missing.
function pathsOf(name: string, dir: string): readonly string[] {
  const path = isAbsolute(name) ? name : join(dir, name);
  return /[*?[{]/.test(name) ? globSync(path).toSorted() : [path];
}

/** The text without comments. */
export function plainText(text: string): string {
  return text.replaceAll(/[#!].*$/gm, '');
}

/** The block `vrrp_instance NAME { ... }` of a text without comments; '' when there is none. */
export function instanceBlock(plain: string, name: string): string {
  const start = new RegExp(`\\bvrrp_instance\\s+${name}\\s*\\{`).exec(plain);
  if (start === null) return '';
  let depth = 1;
  let at = start.index + start[0].length;
  while (at < plain.length && depth > 0) {
    if (plain[at] === '{') depth += 1;
    if (plain[at] === '}') depth -= 1;
    at += 1;
  }
  return plain.slice(start.index, at);
}

/** The file's text; null when it cannot be read or is no regular file. */
export function readOr(path: string): string | null {
  try {
    return statSync(path).isFile() ? readFileSync(path, 'utf8') : null;
  } catch {
    return null;
  }
}
