// Compares two answers by their shape: the keys and types of their JSON, not the values.

// What depends on the model, on caches, or on what the server has been told.
const OPTIONAL = new Set([
  'capabilities',
  'context',
  'context_length',
  'data',
  'embedding_length',
  'families',
  'license',
  'load_duration',
  'parameters',
  'parent_model',
  'projector_info',
  'prompt_eval_count',
  'prompt_eval_duration',
  'system',
  'template',
  'tensors',
]);
/** Objects whose keys are the model's own. */
const OPAQUE = new Set(['model_info', 'projector_info', 'tensors', 'context', 'embedding']);

/** What `got` lacks of `want`: keys that are missing, types that differ. More keys are no difference. */
export function differences(want: unknown, got: unknown, path = ''): readonly string[] {
  if (kind(want) !== kind(got)) return [`${path || 'the answer'} is ${kind(got)}, recorded is ${kind(want)}`];
  if (Array.isArray(want) && Array.isArray(got)) {
    if (want.length === 0 || got.length === 0) return [];
    return differences(want[0], got[0], `${path}[]`);
  }
  if (kind(want) !== 'object') return [];
  const have = new Map(Object.entries(got as object));
  return Object.entries(want as object).flatMap(([key, value]) => {
    const here = path === '' ? key : `${path}.${key}`;
    if (!have.has(key) || (have.get(key) === null && OPTIONAL.has(key))) return OPTIONAL.has(key) ? [] : [`${here} is missing`];
    return OPAQUE.has(key) ? [] : differences(value, have.get(key), here);
  });
}

function kind(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

/** The JSON lines of a body, or the events of an SSE stream; what is no JSON stays text. */
export function linesOf(body: string): readonly unknown[] {
  return body
    .split('\n')
    .map((line) => line.replace(/^data: /, '').trim())
    .filter((line) => line !== '')
    .map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        return line;
      }
    });
}
