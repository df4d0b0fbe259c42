// Tools: a model that has them calls the first one that is offered when a user has spoken last, and speaks when a tool has.

/** A call: name and arguments, all of them the word `example`. */
export type ToolCall = { readonly name: string; readonly args: Readonly<Record<string, string>> };

/** The call that answers a conversation, or null. `tools` in the form of OpenAI, which Ollama shares. */
export function toolCallFor(tools: unknown, lastRole: string): ToolCall | null {
  const first = Array.isArray(tools) ? tools[0]?.function : undefined;
  if (typeof first?.name !== 'string' || lastRole !== 'user') return null;
  const required: unknown[] = Array.isArray(first.parameters?.required) ? first.parameters.required : [];
  return { name: first.name, args: Object.fromEntries(required.map((key) => [String(key), 'example'])) };
}
