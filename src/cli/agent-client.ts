// The control service as promises. Every gRPC failure becomes one CliError with what to try.
import type { CallOptions, ClientUnaryCall, Metadata as GrpcMetadata, ServiceError } from '@grpc/grpc-js';
import type {
  AlertsReply,
  CommandReply,
  ExplainReply,
  FailoverCommand,
  ForgetCommand,
  HistoryReply,
  LeaveCommand,
  LogLevelCommand,
  MaintenanceCommand,
  ModelsReply,
  PauseCommand,
  ReplicationCommand,
  ReplicationReply,
  RestoreCommand,
  StatusReply,
  SwitchoverCommand,
  TestAlertCommand,
  TestAlertReply,
  VerifyCommand,
  VerifyReply,
} from '../gen/control.ts';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_CANNOT_ASK } from './errors.ts';
import { type Target, targetOf } from './target.ts';

/** One open connection to one agent. Each call rejects with a CliError. */
export type AgentClient = {
  readonly where: string;
  readonly status: () => Promise<StatusReply>;
  readonly explain: (node: string) => Promise<ExplainReply>;
  readonly history: (limit: number) => Promise<HistoryReply>;
  readonly models: () => Promise<ModelsReply>;
  readonly switchover: (command: SwitchoverCommand) => Promise<CommandReply>;
  readonly pause: (command: PauseCommand) => Promise<CommandReply>;
  readonly maintenance: (command: MaintenanceCommand) => Promise<CommandReply>;
  readonly failover: (command: FailoverCommand) => Promise<CommandReply>;
  readonly leave: (command: LeaveCommand) => Promise<CommandReply>;
  readonly forget: (command: ForgetCommand) => Promise<CommandReply>;
  readonly replication: () => Promise<ReplicationReply>;
  readonly replicationOrder: (command: ReplicationCommand) => Promise<CommandReply>;
  readonly verify: (command: VerifyCommand) => Promise<VerifyReply>;
  readonly restore: (command: RestoreCommand) => Promise<CommandReply>;
  readonly alerts: () => Promise<AlertsReply>;
  readonly testAlert: (command: TestAlertCommand) => Promise<TestAlertReply>;
  readonly logLevel: (command: LogLevelCommand) => Promise<CommandReply>;
  readonly close: () => void;
};

type Invoke<Req, Res> = (
  request: Req,
  metadata: GrpcMetadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, reply: Res) => void,
) => ClientUnaryCall;

/** Opens the connection that the global options name, calls `use`, and closes it. `timeoutMs` holds for each call unless --timeout says otherwise. */
export async function withAgent<T>(ctx: CommandContext, timeoutMs: number, use: (agent: AgentClient) => Promise<T>): Promise<T> {
  const agent = await connect(await targetOf(ctx), ctx.globals().timeoutMs ?? timeoutMs);
  try {
    return await use(agent);
  } finally {
    agent.close();
  }
}

/** The same command line, asking another node's agent. */
export function through(ctx: CommandContext, host: string): CommandContext {
  return {
    ...ctx,
    globals: () => {
      const { socket: _own, ...rest } = ctx.globals();
      return { ...rest, host };
    },
  };
}

/** The status of the agent behind a socket, whatever the global options name. */
export async function askSocket(path: string, timeoutMs: number): Promise<StatusReply> {
  const agent = await connect({ k: 'socket', path, where: path }, timeoutMs);
  return await agent.status().finally(() => agent.close());
}

async function connect(target: Target, timeoutMs: number): Promise<AgentClient> {
  const [{ credentials, Metadata }, { ControlClient }] = await Promise.all([import('@grpc/grpc-js'), import('../gen/control.ts')]);
  const secure = target.k === 'tls';
  const client = new ControlClient(
    secure ? target.address : `unix:${target.path}`,
    secure ? credentials.createSsl(target.ca, target.key, target.cert) : credentials.createInsecure(),
    {
      ...(secure ? { 'grpc.ssl_target_name_override': target.serverName, 'grpc.default_authority': target.serverName } : {}),
      'grpc.enable_http_proxy': 0,
    },
  );
  const call = <Req, Res>(invoke: Invoke<Req, Res>, request: Req): Promise<Res> =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + timeoutMs;
      invoke.call(client, request, new Metadata(), { deadline }, (error, reply) => {
        if (error === null) resolve(reply);
        else reject(failure(error, target, timeoutMs));
      });
    });
  return {
    where: target.where,
    // Its exit codes 0 to 3 are states of the cluster; an error is none of them.
    status: () => call(client.status, {}).catch((error: CliError) => Promise.reject(error.withExit(EXIT_CANNOT_ASK))),
    explain: (node) => call(client.explain, { node }),
    history: (limit) => call(client.history, { limit }),
    models: () => call(client.models, {}),
    switchover: (command) => call(client.switchover, command),
    pause: (command) => call(client.pause, command),
    maintenance: (command) => call(client.maintenance, command),
    failover: (command) => call(client.failover, command),
    leave: (command) => call(client.leave, command),
    forget: (command) => call(client.forget, command),
    replication: () => call(client.replication, {}),
    replicationOrder: (command) => call(client.replicationOrder, command),
    verify: (command) => call(client.verify, command),
    restore: (command) => call(client.restore, command),
    alerts: () => call(client.alerts, {}),
    testAlert: (command) => call(client.testAlert, command),
    logLevel: (command) => call(client.logLevel, command),
    close: () => client.close(),
  };
}

type Said = { readonly code: string; readonly message: string; readonly hint: string; readonly exitCode?: number };

function failure(error: ServiceError, target: Target, timeoutMs: number): CliError {
  const said = saidBy(error, target, timeoutMs);
  return new CliError({ exitCode: EXIT_CANNOT_ASK, ...said, where: target.where, cause: error });
}

// Numbers are gRPC's status codes; importing the table would load the library before the error is known.
function saidBy(error: ServiceError, target: Target, timeoutMs: number): Said {
  switch (error.code) {
    case 14:
      return unreachable(`${error.details} ${error.message}`, target);
    case 4:
      return {
        code: 'timeout',
        message: `no answer within ${timeoutMs / 1000} s`,
        hint: 'the agent may be overloaded or stopped; --timeout waits longer',
      };
    case 7:
    case 16:
      return {
        code: 'forbidden',
        message: `the agent refused: ${error.details}`,
        hint: 'use a certificate of this cluster: agentctl pki issue --operator NAME',
      };
    case 12:
      return {
        code: 'unsupported',
        message: 'the agent does not know this command',
        hint: 'agent and agentctl should have the same version',
      };
    case 3:
    case 5:
    case 9:
      return { code: 'refused', message: error.details, hint: 'agentctl status shows the nodes and their state', exitCode: 1 };
    default:
      return { code: 'failed', message: `the agent failed: ${error.details}`, hint: "the agent's log tells more: journalctl -u ollama-ha" };
  }
}

function unreachable(text: string, target: Target): Said {
  const message = 'cannot reach the agent';
  if (/EACCES|EPERM/.test(text)) {
    return { code: 'forbidden', message: 'no permission for the socket of the agent', hint: 'run as root, or join the group ollama-ha' };
  }
  if (/ENOENT/.test(text)) return { code: 'unreachable', message: `${message} (no such socket)`, hint: startHint };
  if (/ECONNREFUSED/.test(text))
    return { code: 'unreachable', message: `${message} (nobody listens)`, hint: target.k === 'tls' ? remoteHint : startHint };
  if (/altnames|certificate|self.signed|issuer|SSL|TLS|EPROTO/i.test(text)) {
    const reason = /altnames/.test(text) ? 'its certificate names another node' : 'the certificates do not fit';
    return {
      code: 'certificate',
      message: `${message}: ${reason}`,
      hint: 'ca, cert and key must come from one agentctl pki init; --node names the node in its certificate',
    };
  }
  return { code: 'unreachable', message, hint: target.k === 'tls' ? remoteHint : startHint };
}

const startHint =
  'systemctl status ollama-ha-agent; if it runs with another configuration, name it with --config, or its socket with --socket';
const remoteHint = 'is the host up, and its agent running? Its port is ports.peer, 11440 by default: --host HOST:PORT';
