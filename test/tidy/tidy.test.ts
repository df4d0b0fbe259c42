// The house rules that a machine can check. Each rule names the replacement.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

function filesBelow(dir: string, ending: RegExp): string[] {
  if (!existsSync(join(root, dir))) return [];
  return readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((name) => ending.test(name) && statSync(join(root, name)).isFile());
}

const read = (file: string) => readFileSync(join(root, file), 'utf8');
const sources = filesBelow('src', /\.ts$/).filter((f) => !f.startsWith('src/gen/'));
const ours = [...sources, ...filesBelow('test', /\.ts$/)].filter((f) => !f.startsWith('test/data/'));

function importsOf(file: string): string[] {
  const specs = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => m[1] ?? '');
  return specs.filter((s) => s.startsWith('.')).map((s) => relative(root, resolve(root, dirname(file), s)));
}

// Which part a file belongs to, and what that part may import. What is absent is forbidden.
function partOf(file: string): string {
  const [, part = '', inner = ''] = file.split('/');
  if (part === 'drivers') return `drivers/${inner}`;
  return file.split('/').length === 2 ? 'main' : part;
}

const allowed = (from: string, to: string): boolean => {
  const a = partOf(from);
  const b = partOf(to);
  if (a === b || a === 'main') return true;
  if (a === 'core') return false;
  if (a === 'config') return b === 'core';
  if (a === 'agent') return b === 'core';
  if (a === 'cli') return b === 'core' || b === 'config' || to === 'src/gen/control.ts';
  if (a === 'gen') return false;
  if (a.startsWith('drivers/')) {
    if (b === 'core') return true;
    // The ports the drivers implement, and the control handlers the grpc driver serves.
    if (to === 'src/agent/ports.ts' || to === 'src/agent/control.ts') return true;
    return a === 'drivers/grpc' && b === 'gen';
  }
  return false;
};

describe('the house rules', () => {
  it('imports go only in the directions of the architecture, and nothing imports tests', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      for (const target of importsOf(file)) {
        // The one fact outside src: the program's own version.
        if (target === 'package.json') continue;
        if (!target.startsWith('src/') || !allowed(file, target)) wrong.push(`${file} -> ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('the core has no clock, no randomness, no timer and no IO: they come in as inputs', () => {
    const banned =
      /\b(Date\.now|new Date|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|performance\.|process\.|await |async )/;
    const wrong: string[] = [];
    for (const file of sources.filter((f) => f.startsWith('src/core/'))) {
      read(file)
        .split('\n')
        .forEach((line, i) => {
          const code = line.replace(/\/\/.*$|^\s*\*.*$|\/\*\*.*$/g, '');
          if (banned.test(code) || /from '(?!\.)/.test(code)) wrong.push(`${file}:${i + 1} ${line.trim()}`);
        });
    }
    expect(wrong).toEqual([]);
  });

  it('only the configuration reads the environment', () => {
    const wrong = sources.filter((f) => !f.startsWith('src/config/') && /process\.env/.test(read(f)));
    // The executables hand the environment on; a driver that starts a program passes a fixed one.
    expect(wrong.filter((f) => partOf(f) !== 'main' && f !== 'src/cli/process-io.ts')).toEqual([]);
  });

  it('no file is longer than 400 lines', () => {
    expect(ours.filter((f) => read(f).split('\n').length > 401)).toEqual([]);
  });

  it('no shell stands between us and a program', () => {
    const wrong = sources.filter((f) => /import \{[^}]*\bexec(Sync)?\b[^}]*\} from 'node:child_process'|shell:\s*true/.test(read(f)));
    expect(wrong).toEqual([]);
  });

  it('names say what a thing is: no Manager, Helper or Util', () => {
    expect(ours.filter((f) => /(manager|helper|utils?)\.ts$/i.test(f))).toEqual([]);
    const wrong = sources.filter((f) => /\b(class|function|type|interface)\s+\w*(Manager|Helper|Utils?)\b/.test(read(f)));
    expect(wrong).toEqual([]);
  });

  it('the committed generated code is what buf makes of proto/', () => {
    const before = filesBelow('src/gen', /\.ts$/).map((f) => [f, read(f)]);
    execFileSync('buf', ['generate'], { cwd: join(root, 'proto'), env: { PATH: `${root}/node_modules/.bin:/usr/bin:/bin`, HOME: '/tmp' } });
    expect(before.length).toBeGreaterThan(0);
    expect(filesBelow('src/gen', /\.ts$/).map((f) => [f, read(f)])).toEqual(before);
  });

  it('every link in the documentation leads to a file', () => {
    const dead: string[] = [];
    const pages = [...filesBelow('docs', /\.md$/), ...readdirSync(root).filter((f) => f.endsWith('.md'))];
    for (const page of pages) {
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        if (!existsSync(resolve(root, dirname(page), target))) dead.push(`${page}: ${target}`);
      }
    }
    expect(pages.length).toBeGreaterThan(0);
    expect(dead).toEqual([]);
  });

  it('every make target named in the documentation exists', () => {
    const makefile = read('Makefile');
    const pages = [...filesBelow('docs', /\.md$/), ...readdirSync(root).filter((f) => f.endsWith('.md'))];
    const missing: string[] = [];
    for (const page of pages) {
      for (const [, target = ''] of read(page).matchAll(/`make ([a-z-]+)/g)) {
        // Each program in test/bench is a target of its own.
        const isBench = target.startsWith('bench-') && existsSync(resolve(root, `test/bench/${target.slice(6)}.ts`));
        if (!isBench && !new RegExp(`^${target}:`, 'm').test(makefile)) missing.push(`${page}: make ${target}`);
      }
    }
    expect(missing).toEqual([]);
  });
});
