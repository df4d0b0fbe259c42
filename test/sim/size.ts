/** Number of values in a plain value: objects, arrays, maps and sets with all they hold. Stops counting at a million. */
export function sizeOf(value: unknown): number {
  let count = 0;
  const waiting: unknown[] = [value];
  while (waiting.length > 0 && count < 1_000_000) {
    const item = waiting.pop();
    count += 1;
    if (typeof item !== 'object' || item === null) continue;
    if (item instanceof Map) for (const [key, inner] of item) waiting.push(key, inner);
    else if (item instanceof Set) waiting.push(...item);
    else waiting.push(...Object.values(item));
  }
  return count;
}
