// The loop: facts are queued, handled at the loop's own pace, and followed by effects and reconciliation. One timer in the whole agent.
//
// Theory of operation
//   - Nothing acts inside an event handler: a driver calls `sink`, which queues the fact and asks for a turn (setImmediate).
//   - A turn reads the clocks once, runs every queued fact through the pure core, performs the effects in order, reconciles `desired`, and
//     arms the one timer for the core's `wakeAt`, at the latest for the next guard tick.
//   - Stall guard: a turn that starts more than `stallMs` after its timer was due means this process stood still. Timers run before the
//     sockets are read in that case, so the core is told `stalling`, two event-loop turns pass, and only then `stall` lets it judge.
//     (Node fact: after a stall timeout checks see old data; Cassandra's MAX_LOCAL_PAUSE has the same idea.)
import type { Command, CommandResult, Desired, Effect, Input } from '../core/io.ts';
import type { CoreState } from '../core/state.ts';
import { guardTickMs, step } from '../core/step.ts';
import type { Now } from '../core/types.ts';
import { readMono } from './clock.ts';
import { createLateness } from './lateness.ts';
import type {
  BalancerPort,
  CarePort,
  DrainPort,
  PeersPort,
  RecordsPort,
  ReplicatorPort,
  ScriptsPort,
  Sink,
  StatePort,
  VipPort,
} from './ports.ts';

/** Everything the loop talks to. `replicator` is null on a node without a model store. */
export type LoopPorts = {
  readonly scripts: ScriptsPort;
  readonly peers: PeersPort;
  readonly vip: VipPort;
  readonly replicator: ReplicatorPort | null;
  /** Null on a node without an Ollama. */
  readonly care: CarePort | null;
  /** Absent or null where no balancer is kept. */
  readonly balancer?: BalancerPort | null;
  readonly drain: DrainPort;
  readonly state: StatePort;
  readonly records: RecordsPort;
  readonly clock: () => Now;
  readonly log: (effect: Extract<Effect, { k: 'log' }>) => void;
  /** Ends the process with an operator's error. */
  readonly end: (text: string, hint: string) => void;
};

/** A running loop. */
export interface Loop {
  readonly sink: Sink;
  /** The newest state and what it wants; for status. */
  view(): { readonly state: CoreState; readonly desired: Desired | null; readonly reason: string; readonly at: number };
  /** Longest time a turn came late since this was last asked, ms. */
  takeLagMs(): number;
  /** How late turns began over about a minute, 99th percentile, ms; null = too few to say. */
  lateP99Ms(): number | null;
  /** Runs an operator's command; settles when the core says how it ended. */
  command(command: Command): Promise<CommandResult>;
  /** Connects the drivers and takes the first turn. */
  start(ports: LoopPorts): void;
  /** No further turn. */
  end(): void;
}

// Far above what a healthy agent queues within a turn; beyond it heartbeats are dropped first, since the next one says the same.
const QUEUE_MAX = 4096;

/** A loop around a core that has not taken a turn yet. Facts that arrive before `start` are kept. */
export function createLoop(core: CoreState, stallMs: number): Loop {
  let state = core;
  let desired: Desired | null = null;
  let reason = 'starting';
  let at = 0;
  let ports: LoopPorts | null = null;
  let queue: Input[] = [];
  let timer: NodeJS.Timeout | null = null;
  let dueAt = Number.POSITIVE_INFINITY;
  let scheduled = false;
  let judging = false;
  let lagMs = 0;
  const lateness = createLateness();
  let nextCommand = 1;
  const waiting = new Map<number, (result: CommandResult) => void>();

  const sink: Sink = (input) => {
    if (queue.length >= QUEUE_MAX && input.k === 'peer' && input.msg.k === 'frame') return;
    queue.push(input);
    schedule();
  };

  function schedule(): void {
    if (scheduled || ports === null) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      turn(false);
    });
  }

  function turn(byTimer: boolean): void {
    if (ports === null) return;
    const now = ports.clock();
    const lateMs = now.mono - dueAt;
    if (lateMs > lagMs) lagMs = lateMs;
    if (byTimer) lateness.take(lateMs);
    if (!judging && lateMs > stallMs) {
      judging = true;
      run(ports, [{ k: 'stalling' }], now);
      setImmediate(() => setImmediate(() => judge(lateMs)));
    }
    const inputs = queue;
    queue = [];
    // While a stall is unjudged only facts are handled: the timers' view of the world is old.
    if (inputs.length === 0 && byTimer && !judging) inputs.push({ k: 'tick' });
    run(ports, inputs, now);
  }

  function judge(lateMs: number): void {
    judging = false;
    if (ports === null) return;
    const inputs = queue;
    queue = [];
    run(ports, [...inputs, { k: 'stall', lateMs }], ports.clock());
  }

  function run(p: LoopPorts, inputs: readonly Input[], now: Now): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const input of inputs) {
      const turned = step(state, input, now);
      state = turned.state;
      desired = turned.desired;
      reason = turned.reason;
      wakeAt = turned.wakeAt;
      for (const effect of turned.effects) perform(p, effect);
    }
    at = now.mono;
    p.balancer?.apply(state, now);
    p.drain.apply(state.draining !== '');
    if (desired !== null) {
      p.vip.apply(desired.vip);
      p.care?.apply(desired.care);
      p.replicator?.apply(desired.replicate, desired.remove);
    }
    arm(Math.min(wakeAt, now.mono + guardTickMs(desired)));
  }

  function arm(wakeAt: number): void {
    if (timer !== null) clearTimeout(timer);
    // setTimeout counts whole ms and rounds down: an early wake would be a turn for nothing.
    const delayMs = Math.max(0, Math.ceil(wakeAt - readMono()));
    dueAt = wakeAt;
    timer = setTimeout(() => turn(true), delayMs);
  }

  function perform(p: LoopPorts, effect: Effect): void {
    switch (effect.k) {
      case 'redis':
        // The stop hook of the service manager must find whom to release before the claim can take effect.
        if (effect.call.script === 'cas' && effect.call.mode === 'claim') p.state.writeClaim(effect.call.epoch);
        p.scripts.run(effect.server, effect.op, effect.call);
        break;
      case 'persistEpoch':
        p.state.persistEpoch(effect.epoch);
        break;
      case 'send':
        p.peers.send(effect.to, effect.msg);
        break;
      case 'dial':
        p.peers.dial(effect.peer, effect.address);
        break;
      case 'pushPull':
        p.peers.pushPull(effect.to, effect.members);
        break;
      case 'indirectProbe':
        p.peers.indirectProbe(effect.via, effect.target);
        break;
      case 'directProbe':
        p.peers.directProbe(effect.target);
        break;
      case 'fetchInventory':
        p.peers.fetchInventory(effect.from, effect.version);
        break;
      case 'history':
        p.state.appendHistory(effect.entry);
        if (effect.publish) p.records.history(effect.entry);
        break;
      case 'persistSettings':
        p.state.persistSettings(effect.settings);
        p.records.settings(effect.settings, effect.publish);
        break;
      case 'persistRoster':
        p.state.persistRoster(effect.roster);
        break;
      case 'commandResult':
        waiting.get(effect.id)?.(effect.result);
        waiting.delete(effect.id);
        break;
      case 'log':
        p.log(effect);
        break;
      case 'end':
        p.end(effect.text, effect.hint);
        break;
    }
  }

  return {
    sink,
    view: () => ({ state, desired, reason, at }),
    lateP99Ms: () => lateness.p99(),
    takeLagMs() {
      const taken = lagMs;
      lagMs = 0;
      return taken;
    },
    command(command) {
      const id = nextCommand++;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        sink({ k: 'command', id, command });
      });
    },
    start(given) {
      ports = given;
      queue.push({ k: 'tick' });
      schedule();
    },
    end() {
      ports = null;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
