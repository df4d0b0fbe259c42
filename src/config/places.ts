// Where things lie by default, and the one question that must not wait for the whole schema: the directory of the agent's socket.
import { readFileSync } from 'node:fs';
import type { Env } from './env.ts';

/** The configuration file when nothing else is said. */
export const defaultConfigPath = '/etc/ollama-ha/agent.yaml';

const defaultRunDirectory = '/run/ollama-ha';

/**
 * `paths.run` of a configuration file, without loading the schema (`agentctl status` is to start fast). Falls back to the default
 * where the file is missing, unreadable, or says nothing usable; a wrong file is for `agentctl config check`.
 */
export async function runDirectoryOf(path: string, env: Env): Promise<string> {
  const override = env.OLLAMA_HA_PATHS__RUN;
  if (override?.startsWith('/')) return override;
  const text = textOf(path);
  if (!text.includes('paths:')) return defaultRunDirectory;
  const plain = plainRunDirectory(text);
  if (plain !== null) return plain;
  const { parseText } = await import('./file.ts');
  const file = parseText(text, path);
  if ('problems' in file) return defaultRunDirectory;
  const { run } = (file.values.paths ?? {}) as { run?: unknown };
  return typeof run === 'string' && run.startsWith('/') ? run : defaultRunDirectory;
}

// The way nearly every file says it. Everything else (flow style, quotes, anchors) is left to the parser, which takes longer to load than to run.
function plainRunDirectory(text: string): string | null {
  const section = /^paths:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n|[ \t]*\n|#.*\n)*)/m.exec(`${text}\n`)?.[1] ?? '';
  return /^[ \t]+run:[ \t]+(\/[\w./-]*)[ \t]*(?:#.*)?$/m.exec(section)?.[1] ?? null;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
