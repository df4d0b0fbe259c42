// Manual pages from what the program says about itself: the commands' help, and the descriptions of the configuration's keys.
import type { Command } from 'commander';
import { wholeProgram } from '../../src/cli/main.ts';
import { type KeyNode, keyTree } from '../../src/config/keys.ts';

/** The pages by file name, roff. `version` stands in their footer. */
export async function manPages(version: string): Promise<ReadonlyMap<string, string>> {
  const program = await wholeProgram({ out() {}, err() {}, env: {}, isTty: false, columns: 80 });
  return new Map([
    ['agentctl.1', agentctlPage(program, version)],
    ['ollama-ha-agent.8', agentPage(version)],
    ['agent.yaml.5', configPage(version)],
  ]);
}

function agentctlPage(program: Command, version: string): string {
  return [
    title('AGENTCTL', 1, version),
    section('NAME', text('agentctl - shows and steers an ollama-ha cluster')),
    section('SYNOPSIS', `.B agentctl\n[\\fIglobal options\\fR] \\fIcommand\\fR [\\fIoptions\\fR]`),
    section(
      'DESCRIPTION',
      text(
        'Asks the local agent over its Unix socket, or another one with --host. What it shows is what the asked agent has seen, with its age.',
      ),
    ),
    section('GLOBAL OPTIONS', program.options.map((option) => item(option.flags, option.description)).join('\n')),
    section(
      'COMMANDS',
      program.commands
        .filter((command) => command.name() !== 'complete')
        .map((command) => commandText(command, ''))
        .join('\n'),
    ),
    section('EXIT STATUS', exitCodes.map(([code, meaning]) => item(code, meaning)).join('\n')),
    section('FILES', files.map(([path, meaning]) => item(path, meaning)).join('\n')),
    section('SEE ALSO', text('ollama-ha-agent(8), agent.yaml(5), /usr/share/doc/ollama-ha')),
  ].join('\n');
}

function commandText(command: Command, prefix: string): string {
  const name = `${prefix}${command.name()}`;
  const usage = [name, command.usage().replace(/\s*\[command\]/, '')].join(' ').trim();
  const own = command.options.filter((option) => option.helpGroupHeading !== 'Global options:' && !option.hidden);
  const head = `.SS ${roff(usage)}\n${text(command.description() || command.summary())}`;
  const inner = command.commands.map((child) => commandText(child, `${name} `));
  return [head, ...own.map((option) => item(option.flags, option.description)), ...inner].join('\n');
}

function agentPage(version: string): string {
  return [
    title('OLLAMA-HA-AGENT', 8, version),
    section('NAME', text('ollama-ha-agent - the agent of an ollama-ha cluster')),
    section('SYNOPSIS', `.B ollama-ha-agent\n[\\fB--config\\fR \\fIFILE\\fR]`),
    section(
      'DESCRIPTION',
      text(
        'Holds or waits for the lease of the cluster, carries the virtual address with it, and keeps the models of this host equal to those of the active one. systemd runs it as ollama-ha-agent.service, as the user ollama-ha.',
      ),
    ),
    section(
      'SIGNALS',
      [
        item('SIGTERM', 'Gives the role away and ends.'),
        item(
          'SIGHUP',
          'Ends and leaves the lease to the next process of this agent, for a new version or configuration. Certificates need none: they are read anew when their files change.',
        ),
        item('SIGUSR2', 'Logs how many bytes went to other nodes.'),
      ].join('\n'),
    ),
    section(
      'EXIT STATUS',
      [
        item('0', 'Stopped.'),
        item('1', 'Failed; the service manager starts it again.'),
        item('64', 'Wrong command line.'),
        item('78', 'The configuration is refused: another start would not help.'),
      ].join('\n'),
    ),
    section('FILES', files.map(([path, meaning]) => item(path, meaning)).join('\n')),
    section('SEE ALSO', text('agentctl(1), agent.yaml(5)')),
  ].join('\n');
}

function configPage(version: string): string {
  const sections = Object.entries(keyTree().properties ?? {});
  return [
    title('AGENT.YAML', 5, version),
    section('NAME', text('agent.yaml - configuration of the ollama-ha agent')),
    section(
      'DESCRIPTION',
      text(
        'YAML, in /etc/ollama-ha/agent.yaml. agentctl init writes one, agentctl config check lists every problem of one. Unknown keys are errors. The environment overrides it: OLLAMA_HA_ and the path joined by __, such as OLLAMA_HA_LEASE__PRESET=fast.',
      ),
    ),
    ...sections.map(([name, node]) =>
      section(name.toUpperCase(), [text(node.description ?? ''), ...keyItems(node, `${name}.`)].join('\n')),
    ),
    section('SEE ALSO', text('ollama-ha-agent(8), agentctl(1)')),
  ].join('\n');
}

function keyItems(node: KeyNode, prefix: string): readonly string[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const fallback = child.default === undefined || child.properties !== undefined ? '' : ` Default: ${plain(child.default)}.`;
    const own = item(`${prefix}${key}`, `${child.description ?? ''}${fallback}`);
    return [own, ...keyItems(child, `${prefix}${key}.`), ...(child.items === undefined ? [] : keyItems(child.items, `${prefix}${key}[].`))];
  });
}

const exitCodes = [
  ['0', 'Done.'],
  [
    '1, 2, 3, 5',
    'What they mean for a command stands in /usr/share/doc/ollama-ha/commands.md. For status: 1 degraded, 2 no holder, 3 split brain suspected.',
  ],
  ['4', 'Nothing could be asked: no agent, no permission, time-out.'],
  ['6', 'The order was sent and its result is unknown.'],
  ['64', 'Wrong command line.'],
] as const;

const files = [
  ['/etc/ollama-ha/agent.yaml', 'Configuration of this node; agent.yaml.example explains every key.'],
  ['/etc/ollama-ha/pki/', "The cluster's CA certificate, this node's certificate and key."],
  ['/etc/ollama-ha/secret', 'The cluster secret.'],
  ['/run/ollama-ha/agent.sock', 'Control socket, for root and the group ollama-ha.'],
  ['/var/lib/ollama-ha/', 'State that outlives a reboot.'],
] as const;

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function title(name: string, chapter: number, version: string): string {
  return `.TH ${name} ${chapter} "" "ollama-ha ${version}" "ollama-ha"`;
}

function section(name: string, body: string): string {
  return `.SH ${name}\n${body}`;
}

function item(head: string, body: string): string {
  return `.TP\n.B ${roff(head)}\n${text(body === '' ? '-' : body)}`;
}

function text(body: string): string {
  return roff(body.replaceAll('`', ''));
}

// A hyphen in an option is a minus; a leading dot or quote would be a request.
function roff(body: string): string {
  return body
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');
}
