// One streamed answer of Ollama, read to its end: whole only with a last line that says so.

/** When its first line came, and how many tokens it says it has. */
export type Answer = { readonly firstMs: number; readonly tokens: number };

const LINE_MAX = 1 << 20;
const ANSWER_CHARS_MAX = 64 << 20;

/** Reads it. Throws an Error whose message says what is wrong with the answer. `at`: `performance.now()` of the request. */
export async function readCapped(reply: Response, at: number): Promise<Answer> {
  const decoder = new TextDecoder();
  let firstMs = -1;
  let rest = '';
  let last = '';
  let length = 0;
  for await (const bytes of reply.body ?? []) {
    if (firstMs < 0) firstMs = performance.now() - at;
    rest += decoder.decode(bytes, { stream: true });
    length += bytes.length;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    last = lines.findLast((line) => line !== '') ?? last;
    if (rest.length > LINE_MAX || length > ANSWER_CHARS_MAX) throw new Error('the answer is too long');
  }
  if (rest.trim() !== '') last = rest;
  const { done, error, eval_count: count } = parsed(last);
  if (typeof error === 'string') throw new Error(`HTTP ${reply.status}: ${error}`);
  if (reply.status !== 200) throw new Error(`HTTP ${reply.status}`);
  if (done !== true) throw new Error('the answer broke off');
  return { firstMs, tokens: typeof count === 'number' && count > 0 ? count : 0 };
}

function parsed(line: string): { done?: unknown; error?: unknown; eval_count?: unknown } {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
