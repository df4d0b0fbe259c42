#!/usr/bin/env node
// The executable: `agent` runs the agent, `agentctl` is the operator's tool. Each loads only what it needs: the stop hook has milliseconds.
import { basename } from 'node:path';

const usage = 'usage: ollama-ha agent --config FILE | ollama-ha agentctl COMMAND ... | ollama-ha --version\n';

async function main(argv: readonly string[]): Promise<number> {
  const called = basename(process.argv[1] ?? '');
  const [first, ...others] = called === 'agentctl' ? ['agentctl', ...argv] : argv;
  switch (first) {
    case 'agentctl':
      return agentctl(others);
    case 'agent': {
      const { runAgent } = await import('./run-agent.ts');
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

async function agentctl(argv: readonly string[]): Promise<number> {
  if (argv.includes('fence') && argv.includes('--local')) {
    const { runFenceLocal } = await import('./fence-local.ts');
    return runFenceLocal(argv);
  }
  const { runAgentctl } = await import('./cli/main.ts');
  const { processIo } = await import('./cli/process-io.ts');
  return runAgentctl(argv, processIo(process));
}

process.exitCode = await main(process.argv.slice(2));
