// Prints a story: numbered steps with the time since its start, and text below them.

/** The teller. */
export type Teller = { step(title: string): void; note(text: string): void; text(text: string): void };

/** Tells to standard output; `elapsedMs` is the time since the story began. */
export function createTeller(elapsedMs: () => number): Teller {
  let steps = 0;
  const stamp = (): string => `${(elapsedMs() / 1000).toFixed(1).padStart(6)} s`;
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  return {
    step: (title) => {
      steps += 1;
      write(`\n${stamp()}  ${steps}. ${title}`);
    },
    note: (text) => write(`${stamp()}     ${text}`),
    text: (text) => write(text.replace(/^/gm, '    ')),
  };
}

/** Tells nothing: for tests that take the same steps. */
export const silent: Teller = { step: () => undefined, note: () => undefined, text: () => undefined };
