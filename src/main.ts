#!/usr/bin/env node
// The executable: `agent` runs the agent, `agentctl` is the operator's tool. Each loads only what it needs: the stop hook has milliseconds.
import { enableCompileCache, flushCompileCache } from 'node:module';
import { basename, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { thrift } from './thrift.ts';

const usage = 'usage: ollama-ha agent --config FILE | ollama-ha agentctl COMMAND ... | ollama-ha --version\n';

/** The build turns this file name into another one. */
const packaged = !import.meta.filename.endsWith('.ts');

async function main(argv: readonly string[]): Promise<number> {
  const [first, ...others] = commandOf(argv);
  switch (first) {
    case 'agentctl':
      return agentctl(others);
    case 'agent': {
      setFlagsFromString(thrift);
      // The stop hook's code is loaded too, and all of it kept now: after kill -9 there is no later, and the hook finds it compiled.
      const [{ runAgent }] = await Promise.all([import('./run-agent.ts'), import('./fence-local.ts')]);
      flushCompileCache();
      return runAgent(others, process);
    }
    case '--version':
    case 'version':
      return agentctl(['version']);
    default:
      (first === '--help' ? process.stdout : process.stderr).write(usage);
      return first === '--help' ? 0 : 64;
  }
}

/** A link's name says which half is meant: `agentctl ...`, `ollama-ha-agent --config FILE`. */
function commandOf(argv: readonly string[]): readonly string[] {
  // The packaged executable is its own script; a shebang start has the link's path as second word.
  const called = basename((packaged ? process.argv0 : process.argv[1]) ?? '');
  if (called === 'agentctl') return ['agentctl', ...argv];
  const asks = argv[0] === '--version' || argv[0] === '--help';
  return called === 'ollama-ha-agent' && !asks ? ['agent', ...argv] : argv;
}

async function agentctl(argv: readonly string[]): Promise<number> {
  if (argv.includes('fence') && argv.includes('--local')) {
    const { runFenceLocal } = await import('./fence-local.ts');
    // Whatever still waits for a connection or a time-out is of no use any more, and the service manager waits for the hook's end.
    process.exit(await runFenceLocal(argv));
  }
  if (argv[0] === 'drill-guard') return (await import('./cli/drill-guard.ts')).runDrillGuard(argv.slice(1), process);
  const { runAgentctl } = await import('./cli/main.ts');
  const { processIo } = await import('./cli/process-io.ts');
  const self = [process.execPath, ...(packaged ? [] : [import.meta.filename]), 'agentctl'];
  return runAgentctl(argv, { ...processIo(process), self });
}

// From source, Node strips the types at every start (0.2 s, 15 MB): keep what comes out. A packaged executable holds no TypeScript.
if (!packaged) {
  // Worker threads look for it in the environment only.
  process.env.NODE_COMPILE_CACHE ??= join(import.meta.filename, '../../node_modules/.cache/compile');
  enableCompileCache();
}
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
