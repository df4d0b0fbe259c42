// Many small messages as one: what goes to another thread costs by the message, not by what is in it.

/**
 * Passes on, in order and in one call of `send`, whatever was given since the last call. `later` runs a function some time later; it decides
 * how long the first one waits for company.
 */
export function gather<T>(later: (run: () => void) => void, send: (items: readonly T[]) => void): (item: T) => void {
  let waiting: T[] = [];
  const pass = () => {
    const items = waiting;
    waiting = [];
    send(items);
  };
  return (item) => {
    if (waiting.push(item) === 1) later(pass);
  };
}
