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
    summary: 'which node holds which model; bring a deleted one back',
    scope: 'agent',
    load: async () => (await import('./models.ts')).modelsCommand,
  },
  {
    name: 'replication',
    summary: 'the copying of models: status, pause, resume, now, limit, accept-deletes',
    scope: 'agent',
    load: async () => (await import('./replication.ts')).replicationCommand,
  },
  {
    name: 'verify',
    summary: 'read the models of a node anew and compare them with their digests',
    scope: 'agent',
    load: async () => (await import('./verify.ts')).verifyCommand,
  },
  {
    name: 'switchover',
    summary: 'move the active role, planned: now or at a time',
    scope: 'agent',
    load: async () => (await import('./switchover.ts')).switchoverCommand,
  },
  {
    name: 'failover',
    summary: 'make a node active where nobody is: --force',
    scope: 'agent',
    load: async () => (await import('./failover.ts')).failoverCommand,
  },
  {
    name: 'pause',
    summary: 'no automatic change of the active node, in the whole cluster',
    scope: 'agent',
    load: async () => (await import('./pause.ts')).pauseCommand,
  },
  { name: 'resume', summary: 'end a pause', scope: 'agent', load: async () => (await import('./pause.ts')).resumeCommand },
  {
    name: 'maintenance',
    summary: 'keep the active role away from a node, at once',
    scope: 'agent',
    load: async () => (await import('./maintenance.ts')).maintenanceCommand,
  },
  {
    name: 'drain',
    summary: 'the same, after open requests have ended',
    scope: 'agent',
    load: async () => (await import('./maintenance.ts')).drainCommand,
  },
  {
    name: 'undrain',
    summary: 'a drained node may be active again',
    scope: 'agent',
    load: async () => (await import('./maintenance.ts')).undrainCommand,
  },
  {
    name: 'leave',
    summary: 'this node leaves the cluster for good',
    scope: 'agent',
    load: async () => (await import('./leave.ts')).leaveCommand,
  },
  {
    name: 'forget',
    summary: 'take a node out that is gone',
    scope: 'agent',
    load: async () => (await import('./leave.ts')).forgetCommand,
  },
  {
    name: 'alerts',
    summary: 'what is wrong now, the channels of alerts, a test message',
    scope: 'agent',
    load: async () => (await import('./alerts.ts')).alertsCommand,
  },
  {
    name: 'log',
    summary: 'the log level of a running agent',
    scope: 'agent',
    load: async () => (await import('./log.ts')).logCommand,
  },
  { name: 'redis', summary: 'the lease servers: status', scope: 'agent', load: async () => (await import('./redis.ts')).redisCommand },
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
    name: 'doctor',
    summary: 'what is set up badly on this host, and what to change',
    scope: 'agent',
    load: async () => (await import('./doctor.ts')).doctorCommand,
  },
  {
    name: 'drill',
    summary: 'a failure test on the real cluster, and a report',
    scope: 'local',
    load: async () => (await import('./drill.ts')).drillCommand,
  },
  {
    name: 'bench',
    summary: 'load on an Ollama endpoint, and how it answered',
    scope: 'local',
    load: async () => (await import('./bench.ts')).benchCommand,
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
