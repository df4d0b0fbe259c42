// The single executable: the pinned Node with the packed program inside, started from compiled code.
import { execFileSync } from 'node:child_process';
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bundle, bundleProgram } from './bundle.ts';

/** Writes `DIRECTORY/ollama-ha` and returns what was packed. */
export async function buildExecutable(directory: string): Promise<Bundle> {
  const bundle = await bundleProgram();
  const script = join(directory, 'program.cjs');
  const node = join(directory, 'node');
  const output = join(directory, 'ollama-ha');
  const config = join(directory, 'sea.json');
  mkdirSync(directory, { recursive: true });
  writeFileSync(script, bundle.text);
  // Without its symbols the executable is a sixth smaller, and so is every start of it.
  execFileSync('strip', ['--strip-debug', '--strip-unneeded', '-o', node, realpathSync(process.execPath)], { stdio: 'pipe' });
  writeFileSync(
    config,
    JSON.stringify({
      main: script,
      executable: node,
      output,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      // NODE_OPTIONS of whoever calls agentctl must not reach it.
      execArgvExtension: 'none',
    }),
  );
  execFileSync(process.execPath, ['--build-sea', config], { stdio: 'pipe' });
  for (const file of [script, node, config]) rmSync(file);
  return bundle;
}
