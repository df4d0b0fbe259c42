// What an operator may ask about alerts and the log of one node. Re-exported by control.ts; shapes mirror proto/control.proto.
import type { CommandOutcome, ControlCaller } from './control.ts';

/** The calls about alerts; the same rules as for ControlHandlers. */
export type AlertHandlers = {
  list(caller: ControlCaller): Promise<AlertsView>;
  /** Sends a test message at once, past the queue; `channel` '' = to every channel. */
  test(request: { readonly channel: string; readonly by: string }, caller: ControlCaller): Promise<readonly ChannelResult[]>;
};

/** Changes the level of the running agent's log; `level` '' = the configured one, `forMs` 0 = until the agent ends. */
export type LogLevelHandler = (
  request: { readonly level: 'debug' | 'info' | 'warn' | 'error' | ''; readonly forMs: number; readonly by: string },
  caller: ControlCaller,
) => Promise<CommandOutcome>;

/** `agentctl alerts list`. */
export type AlertsView = {
  readonly asked: string;
  /** The node that sends what concerns the whole cluster; '' = nobody. */
  readonly sender: string;
  readonly alerts: readonly AlertRow[];
  readonly channels: readonly ChannelRow[];
};

/** One condition that holds now. */
export type AlertRow = {
  readonly name: string;
  /** The node, server or model it is about; '' = the cluster. */
  readonly subject: string;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly state: 'pending' | 'firing';
  /** Wall-clock ms. */
  readonly sinceMs: number;
  readonly text: string;
};

/** One channel and how far it came. `lastOkAtMs` 0 = never. */
export type ChannelRow = {
  readonly name: string;
  readonly kind: string;
  readonly queued: number;
  readonly delivered: number;
  /** Given up: too old, or the queue was full. */
  readonly dropped: number;
  readonly lastOkAtMs: number;
  readonly lastError: string;
};

/** What came of a test message. */
export type ChannelResult = { readonly channel: string; readonly ok: boolean; readonly error: string };
