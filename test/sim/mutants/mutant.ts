// A mutant is a broken variant of the product that the simulator must catch. It is made of a copy of src/core in a temporary folder, never in place.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type AgentKind, PRODUCTION_CORE } from '../agents.ts';
import type { Filter } from '../plan.ts';
import type { Property } from './properties.ts';

/** One replacement in one file of src/core. `find` must stand there exactly once. */
export type Patch = { readonly file: string; readonly find: string; readonly replace: string };

/** A broken variant. */
export type Mutant = {
  readonly id: string;
  /** What is broken, in words. */
  readonly what: string;
  readonly patches: readonly Patch[];
  /** Where it shows: mode, number of servers and so on. */
  readonly filter: Partial<Filter>;
  /** It must be caught within so many seeds. */
  readonly seeds: number;
  readonly kind?: AgentKind;
  /** The property that it breaks; null or absent = a checker of the simulator finds it. */
  readonly property?: Property;
};

/** A mutant's own copy of the core. */
export type MutantCore = { readonly core: string; readonly remove: () => void };

/** Copies the core and breaks it. Throws when a patch does not fit any more: then the mutant must be written anew for the changed source. */
export function makeMutant(mutant: Mutant): MutantCore {
  const folder = mkdtempSync(join(tmpdir(), `ollama-ha-mutant-${mutant.id}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    // The type flag tells Node that the copies are modules.
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
    cpSync(fileURLToPath(PRODUCTION_CORE), join(folder, 'core'), { recursive: true });
    for (const patch of mutant.patches) applyPatch(mutant.id, join(folder, 'core', patch.file), patch);
  } catch (error) {
    remove();
    throw error;
  }
  return { core: `${pathToFileURL(join(folder, 'core')).href}/`, remove };
}

function applyPatch(id: string, path: string, { file, find, replace }: Patch): void {
  const text = readFileSync(path, 'utf8');
  const pieces = text.split(find);
  if (pieces.length !== 2) {
    throw new Error(
      `mutant ${id}: its patch fits ${pieces.length - 1} times in src/core/${file}, not once; write it anew for the changed source:\n${find}`,
    );
  }
  writeFileSync(path, pieces.join(replace));
}
