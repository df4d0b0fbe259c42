// The dead-man script fails open: keepalived goes on without one that is missing, replaceable or not executable. So its presence is checked.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a look at the script found. */
export type ScriptOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The script exists, is root's, executable by everybody, and neither it nor a directory above can be changed by others. */
export function checkScript(path: string): ScriptOutcome {
  try {
    const file = statSync(path);
    if (!file.isFile()) return { ok: false, why: `${path} is not a regular file` };
    if (file.uid !== 0) return { ok: false, why: `${path} is not owned by root` };
    if ((file.mode & 0o111) !== 0o111) return { ok: false, why: `${path} is not executable by everybody` };
    for (let at = path; ; at = dirname(at)) {
      const found = statSync(at);
      if (found.uid !== 0 || (found.mode & 0o022) !== 0)
        return { ok: false, why: `${at} can be written by others than root: keepalived would not run the script` };
      if (at === '/' || at === '.') return { ok: true };
    }
  } catch (error) {
    return { ok: false, why: `dead-man script: ${error instanceof Error ? error.message : String(error)}` };
  }
}
