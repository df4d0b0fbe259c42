// Every command of agentctl: its name, its line in the help, and how to get it. Only the one that runs is loaded.
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';
import type { GlobalScope } from './globals.ts';

/** A command that is not loaded yet. */
export type Entry = {
  readonly name: string;
  readonly summary: string;
  readonly scope: GlobalScope;
  readonly load: () => Promise<(ctx: CommandContext) => Command>;
};

/** In the order of the help. */
export const registry: readonly Entry[] = [
  {
    name: 'status',
    summary: 'the cluster as one agent sees it',
    scope: 'agent',
    load: async () => (await import('./status.ts')).statusCommand,
  },
  {
    name: 'explain',
    summary: 'why a node may or may not take over',
    scope: 'agent',
    load: async () => (await import('./explain.ts')).explainCommand,
  },
  { name: 'history', summary: 'the changes of holder', scope: 'agent', load: async () => (await import('./history.ts')).historyCommand },
  {
    name: 'models',
    summary: 'which node holds which model',
    scope: 'agent',
    load: async () => (await import('./models.ts')).modelsCommand,
  },
  {
    name: 'switchover',
    summary: 'move the active role, planned',
    scope: 'agent',
    load: async () => (await import('./switchover.ts')).switchoverCommand,
  },
  {
    name: 'config',
    summary: 'check or show the configuration',
    scope: 'local',
    load: async () => (await import('./config.ts')).configCommand,
  },
  {
    name: 'init',
    summary: 'write a configuration file for this node',
    scope: 'local',
    load: async () => (await import('./init.ts')).initCommand,
  },
  {
    name: 'pki',
    summary: 'make the CA and the certificates of the cluster',
    scope: 'local',
    load: async () => (await import('./pki.ts')).pkiCommand,
  },
  {
    name: 'keepalived',
    summary: 'the keepalived configuration of this node',
    scope: 'local',
    load: async () => (await import('./keepalived.ts')).keepalivedCommand,
  },
  {
    name: 'fence',
    summary: 'take this node off the address, also without its agent',
    scope: 'local',
    load: async () => (await import('./fence.ts')).fenceCommand,
  },
  { name: 'version', summary: 'what is installed here', scope: 'local', load: async () => (await import('./version.ts')).versionCommand },
];
