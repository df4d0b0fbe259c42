// agentctl completion SHELL, and the hidden `complete` that the script calls back at every TAB.
import tab from '@bomb.sh/tab/commander';
import { type Command, Option } from 'commander';

/** Adds both commands to a program that has all its commands already. The library writes to the process's standard output itself. */
export function addCompletion(program: Command): void {
  tab(program, { completionCommandName: 'completion' });
  const script = program.commands.find((command) => command.name() === 'completion');
  script
    ?.description('print the completion script of a shell: source <(agentctl completion bash)')
    .addOption(new Option('--no-color').hideHelp());
}
