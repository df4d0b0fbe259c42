// agentctl as a process of its own, for tests that need a real one: `node test/cli/program.ts status`.
import { runAgentctl } from '../../src/cli/main.ts';
import { processIo } from '../../src/cli/process-io.ts';

process.exitCode = await runAgentctl(process.argv.slice(2), processIo(process));
