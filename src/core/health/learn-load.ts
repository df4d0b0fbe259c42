// How a load of the hot set ended, and what its error tells. The texts are Ollama's own, of 0.30 and later; the older word for a runner is known too.
import type { HealthState } from './state.ts';
import type { Evidence, LoadTroubleKind } from './types.ts';

/** The first text that an error contains says what it is. Memory first: such an error also names the process that ended for want of it. */
const CLASSES: readonly (readonly [RegExp, LoadTroubleKind])[] = [
  [
    /out of memory|out of device memory|out-of-memory|(cuda|hip)malloc failed|failed to allocate|allocation failed|not enough memory|insufficient memory|erroroutofmemory/i,
    'memory-short',
  ],
  [/timed out waiting for (llama-server|llama runner) to start/, 'load-stall'],
  [/may be incompatible with your version of Ollama|unknown renderer|unknown parser|unknown model architecture/, 'version-skew'],
  [
    /not found, try pulling it first|model '.*' not found|offset\+size.*exceeds file size|invalid file magic|not within the file bounds|digest mismatch/,
    'model-damaged',
  ],
  [
    /process has terminated|process no longer running|CUDA error|ROCm error|GGML_ASSERT|panic:|fatal error:|error loading model/,
    'load-crash',
  ],
];

/** What the error of a failed load tells; null = nothing about this node: its queue was full, or the asker left. */
export function classOf(error: string): LoadTroubleKind | null {
  if (/server busy, please try again|request canceled/.test(error)) return null;
  return CLASSES.find(([text]) => text.test(error))?.[1] ?? 'load-failed';
}

/** Takes the begin or the end of a load in. */
export function learnLoad(s: HealthState, e: Extract<Evidence, { k: 'load' }>, mono: number): HealthState {
  if (e.state === 'started') return { ...s, load: { model: e.model, at: mono } };
  const ended = { ...s, load: null };
  if (e.state === 'done') return s.loadTrouble?.model === e.model ? { ...ended, loadTrouble: null } : ended;
  const kind = e.poisoned === true ? null : classOf(e.error);
  return kind === null ? ended : { ...ended, loadTrouble: { model: e.model, kind, error: e.error, at: mono } };
}
