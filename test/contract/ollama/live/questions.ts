// What may be asked of a server that somebody uses, and how its answers are compared; and why the rest is not asked.
import { recordedNames } from '../recordings.ts';

/** What a question needs before it may be asked. */
export type Need =
  | 'nothing'
  /** The server is reached over loopback. */
  | 'loopback'
  /** A text model that is loaded. */
  | 'model'
  /** The model was not loaded by others, so that it may be unloaded. */
  | 'own model'
  | 'vision'
  | 'no vision'
  | 'no tools'
  | 'no insert'
  | 'no thinking'
  /** The loaded model embeds. */
  | 'embedding';

/** One recording as a question. `exact`: the reply must be the recorded one; `shape`: the same keys, types, headers and ending. */
export type Question = { readonly name: string; readonly need: Need; readonly how: 'exact' | 'shape' };

const list = (need: Need, how: Question['how'], names: string): readonly Question[] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => ({ name, need, how }));

/** The questions, in the order in which they are asked. */
export const QUESTIONS: readonly Question[] = [
  ...list(
    'nothing',
    'exact',
    `root-get root-head version-head unknown-path-404 wrong-method-405 options-preflight origin-localhost origin-refused origin-same-as-host
     blob-head-bad-digest blob-head-missing-tiny blob-post-bad-digest copy-missing delete-missing delete-no-body pull-no-model
     show-missing show-no-model chat-empty-model chat-missing-model chat-bad-image embed-missing-model
     generate-bad-image generate-bad-json generate-bad-json-type generate-empty-model generate-invalid-name
     generate-missing-model generate-missing-model-nonstream generate-no-body
     v1-chat-bad-json v1-chat-missing-model v1-chat-no-messages v1-model-missing v1-messages-missing-model`,
  ),
  ...list('loopback', 'exact', 'host-dot-internal host-dot-local host-localhost host-private-ip host-public-ip host-refused'),
  ...list('nothing', 'shape', 'version-get status-get tags-several v1-models'),
  ...list(
    'model',
    'shape',
    `generate-preload generate-preload-hot generate-preload-stream-true chat-load ps-loaded show-tiny v1-model-one
     generate-stream generate-nonstream generate-1token generate-length-stop generate-raw generate-fqn generate-case-variant
     generate-debug-render-only chat-debug-render-only chat-stream chat-nonstream client-abort-while-generating
     v1-chat-nonstream v1-chat-stream v1-chat-stream-usage v1-completions v1-messages embed-empty-input`,
  ),
  ...list('model', 'exact', 'generate-invalid-format generate-invalid-option generate-raw-with-system'),
  ...list('no insert', 'exact', 'generate-suffix-unsupported'),
  ...list('no tools', 'exact', 'chat-tools-unsupported'),
  ...list('no thinking', 'exact', 'generate-think-unsupported'),
  ...list('no vision', 'exact', 'generate-image-to-text-model generate-image-to-text-model-stream chat-image-to-text-model'),
  ...list('vision', 'shape', 'generate-image chat-image v1-chat-image'),
  ...list('embedding', 'shape', 'embed-ok embeddings-legacy-ok v1-embeddings-ok'),
  ...list('embedding', 'exact', 'generate-on-embedding-model'),
  ...list('own model', 'shape', 'generate-unload chat-unload generate-unload-not-loaded'),
];

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^(create-|copy$|delete$|blob-post-)/, 'it changes the store'],
  [/^blob-head-present|^blob-post-present/, 'it needs a blob of the recordings'],
  [/^pull-/, 'it pulls: it changes the store, and asks another server'],
  [/^generate-cloud-name/, 'it leaves the machine where cloud models are on'],
  [/dangling|stored-error|-manifest$|weights-|poisoned|projector-missing/, 'it needs a damaged store'],
  [/killed|crash|sigterm|hung-|stall|connection-refused/, 'it kills or stops a process'],
  [/^queue-|client-abort-while-loading/, 'it holds up the loads of others'],
  [/^(tags|v1-models|ps)-empty|^v1-models-empty/, 'it needs an empty server'],
  [/^ps-|num-ctx|keepalive-forever/, 'it changes what is loaded, or for how long'],
  [/^(tags-|copy)/, 'it needs the store of the recordings'],
  [/too-long/, 'it needs a prompt longer than the context: too much work for a server in use'],
  [/.*/, 'it needs a model of the recordings'],
];

/** Recordings that are never asked of a server in use, with the reason. */
export function neverAsked(): ReadonlyMap<string, string> {
  const asked = new Set(QUESTIONS.map((question) => question.name));
  const rest = recordedNames().filter((name) => !asked.has(name));
  return new Map(rest.map((name) => [name, REASONS.find(([pattern]) => pattern.test(name))?.[1] ?? '']));
}
