// One wish to stop, awaited by thousands.

/** Who waits for a signal. Adding to `waits`, and taking away, costs the same however many there are. */
export type Stop = { readonly aborted: () => boolean; readonly waits: Set<() => void> };

/** With one listener on the signal: a signal itself looks at all of its listeners whenever one is added. */
export function stopOf(signal: AbortSignal): Stop {
  const waits = new Set<() => void>();
  signal.addEventListener('abort', () => [...waits].forEach((wait) => void wait()), { once: true });
  return { aborted: () => signal.aborted, waits };
}
