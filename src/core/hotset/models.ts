// From what Ollama lists as loaded to what nodes tell each other.
import type { LoadedModel } from '../health/types.ts';
import { keyOf } from './machine.ts';
import type { HotModel } from './types.ts';

/** Models as nodes tell each other; those whose weights the own store does not know are left out. */
export function hotModelsOf(loaded: readonly LoadedModel[]): HotModel[] {
  return loaded.flatMap((m) =>
    m.weights === undefined
      ? []
      : [
          {
            name: m.name,
            weights: keyOf(m.weights),
            contextLength: m.contextLength,
            sizeBytes: m.sizeBytes,
            forever: m.expiresInMs === null,
          },
        ],
  );
}
