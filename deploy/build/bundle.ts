// Packs src/main.ts and everything it needs into one script. Files that the sources read beside themselves, and the programs of their threads,
// become part of it: in a single executable there is no file to point to.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '../..');
const main = join(root, 'src/main.ts');

/** The script, and the names of the npm packages in it. */
export type Bundle = { readonly text: string; readonly packages: readonly string[] };

/** Packs the whole program as CommonJS. Throws on a reference to an own file that it cannot pack. */
export async function bundleProgram(): Promise<Bundle> {
  const seen = new Set<string>();
  const result = await build({
    ...common(seen),
    entryPoints: [main],
    format: 'cjs',
    define: { 'import.meta.filename': '"ollama-ha"', 'import.meta.main': 'false' },
  });
  const text = result.outputFiles[0]?.text ?? '';
  const left = /.{0,80}import_meta\b.{0,60}/.exec(text)?.[0];
  if (left !== undefined) throw new Error(`the bundle still asks for import.meta: a file of its own that was not packed: ${left}`);
  return { text, packages: [...new Set([...seen, ...packagesOf(result.metafile)])].sort() };
}

function common(seen: Set<string>): BuildOptions & { readonly metafile: true; readonly write: false } {
  return {
    absWorkingDir: root,
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node26',
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
    // Optional accelerators of the libraries, absent here too.
    external: ['bufferutil', 'utf-8-validate'],
    plugins: [ownFiles(seen)],
  };
}

/** Texts beside a source become literals, thread programs become data: URLs. */
function ownFiles(seen: Set<string>): Plugin {
  return {
    name: 'own-files',
    setup(setup) {
      setup.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        if (path !== main && source.includes('import.meta.filename'))
          throw new Error(`${path}: only src/main.ts may ask for its file name, to know whether it is packed`);
        return { contents: await packed(source, dirname(path), seen), loader: 'ts' };
      });
    },
  };
}

const textFile = /readFileSync\(new URL\('(\.[^']+)', import\.meta\.url\), 'utf8'\)/g;
const thread = /new URL\('(\.[^']+\.ts)', import\.meta\.url\)/g;

async function packed(source: string, directory: string, seen: Set<string>): Promise<string> {
  const texts = await replaced(source, textFile, async (file) => JSON.stringify(await readFile(join(directory, file), 'utf8')));
  return replaced(texts, thread, async (file) => {
    const program = await threadProgram(join(directory, file), seen);
    return `new URL(${JSON.stringify(`data:text/javascript;base64,${Buffer.from(program).toString('base64')}`)})`;
  });
}

async function threadProgram(file: string, seen: Set<string>): Promise<string> {
  const result = await build({ ...common(seen), entryPoints: [file], format: 'esm' });
  for (const name of packagesOf(result.metafile)) seen.add(name);
  const text = result.outputFiles[0]?.text ?? '';
  // A data: URL has no directory, so nothing in it may be looked for beside it.
  if (text.includes('import.meta.url')) throw new Error(`${relative(root, file)}: a thread's program cannot read files of its own`);
  return text;
}

async function replaced(text: string, form: RegExp, by: (file: string) => Promise<string>): Promise<string> {
  const parts: string[] = [];
  let at = 0;
  for (const match of text.matchAll(form)) {
    parts.push(text.slice(at, match.index), await by(match[1] ?? ''));
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)].join('');
}

function packagesOf(metafile: Metafile): readonly string[] {
  return Object.keys(metafile.inputs).flatMap((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
}
