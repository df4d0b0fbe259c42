// Several membership machines in virtual time: one event queue, 1 ms links, faults by hand. Deterministic for a seed.
import {
  createMembership,
  isLeaving,
  leaving,
  lhmOf,
  type MembershipState,
  type MembershipStep,
  membersOf,
  stepMembership,
  tableOf,
  withHubs,
} from '../../../src/core/membership/machine.ts';
import type { Frame, Member, MemberState, MembershipEffect, MembershipInput } from '../../../src/core/membership/types.ts';
import { frameOf } from './frame.ts';

const LINK_MS = 1;
const REDIAL_MS = 1_000;
const KEEPALIVE_MS = 1_600;

type Host = {
  readonly id: string;
  readonly boot: number;
  state: MembershipState;
  up: boolean;
  frozenUntil: number;
  wall: number;
  readonly waiting: MembershipInput[];
  readonly links: Set<string>;
  readonly wanted: Set<string>;
};

type Job = { readonly at: number; readonly order: number; readonly run: () => void };

/** A cluster under test. */
export type Cluster = ReturnType<typeof createCluster>;

/** Builds hosts that know each other (or only `join` for all but the first, when given). `hubs` hear everybody. `onFrame` sees all that is sent. */
export function createCluster(
  ids: readonly string[],
  options: { seed?: number; join?: string; hubs?: readonly string[]; onFrame?: (from: string, to: string, frame: Frame) => void } = {},
) {
  const hosts = new Map<string, Host>();
  const cuts = new Set<string>();
  const heals = new Map<string, number>();
  const events: string[] = [];
  const seen: { at: number; on: string; node: string; from: string; to: MemberState }[] = [];
  const counts = { frames: 0, indirectAcks: 0, tables: 0, duplicates: [] as string[] };
  const queue: Job[] = [];
  let time = 0;
  let order = 0;

  const after = (ms: number, run: () => void) => {
    const job = { at: time + ms, order: order++, run };
    let low = 0;
    let high = queue.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      const other = queue[mid];
      if (other !== undefined && other.at <= job.at) low = mid + 1;
      else high = mid;
    }
    queue.splice(low, 0, job);
  };
  const now = (host: Host) => ({ mono: time, boot: time, wall: host.wall + time });
  const pair = (a: string, b: string) => (a < b ? `${a} ${b}` : `${b} ${a}`);
  const reaches = (a: string, b: string) => {
    const host = hosts.get(b);
    return !cuts.has(pair(a, b)) && host?.up === true && host.frozenUntil <= time;
  };

  function give(id: string, input: MembershipInput): void {
    const host = hosts.get(id);
    if (host === undefined || !host.up) return;
    if (host.frozenUntil > time) {
      if (input.k !== 'tick') host.waiting.push(input);
      return;
    }
    settle(host, stepMembership(host.state, input, now(host)));
  }

  function settle(host: Host, step: MembershipStep): void {
    host.state = step.state;
    for (const effect of step.effects) perform(host, effect);
    const due = step.wakeAt;
    after(Math.max(0.5, due - time), () => {
      if (host.state.wakeAt <= time && hosts.get(host.id) === host) give(host.id, { k: 'tick' });
    });
  }

  function perform(host: Host, e: MembershipEffect): void {
    switch (e.k) {
      case 'heartbeat':
        counts.frames++;
        sendFrame(host, e);
        break;
      case 'pushPull':
        counts.tables++;
        if (reaches(host.id, e.to)) after(LINK_MS, () => exchange(host.id, e.to));
        break;
      case 'directProbe': {
        const ok = reaches(host.id, e.target);
        const refused = !cuts.has(pair(host.id, e.target)) && hosts.get(e.target)?.up === false;
        after(ok || refused ? 2 : 300, () => give(host.id, { k: 'dialled', target: e.target, ok }));
        break;
      }
      case 'indirectProbe': {
        const asked = reaches(host.id, e.via);
        const ack = asked && reaches(e.via, e.target);
        if (ack) counts.indirectAcks++;
        after(ack ? 4 : asked ? 150 : 400, () => give(host.id, { k: 'probed', target: e.target, via: e.via, ack: asked ? ack : null }));
        break;
      }
      case 'dial':
        host.wanted.add(e.peer);
        after(2, () => connect(host.id, e.peer));
        break;
      case 'memberEvent': {
        const at = String(Math.round(time)).padStart(6);
        events.push(`${at} ${host.id}: ${e.node} ${e.from} -> ${e.to} (${e.why})`);
        seen.push({ at: time, on: host.id, node: e.node, from: e.from, to: e.to });
        break;
      }
      case 'duplicateNode':
        counts.duplicates.push(`${host.id}: ${e.node}#${e.boot}`);
        break;
    }
  }

  function sendFrame(host: Host, e: Extract<MembershipEffect, { k: 'heartbeat' }>): void {
    const frame = frameOf('lab', host.id, host.boot, e, isLeaving(host.state));
    options.onFrame?.(host.id, e.to, frame);
    if (!host.links.has(e.to) || cuts.has(pair(host.id, e.to))) return;
    after(LINK_MS, () => give(e.to, { k: 'frame', from: host.id, frame }));
  }

  function exchange(a: string, b: string): void {
    const from = hosts.get(a);
    const to = hosts.get(b);
    if (from === undefined || to === undefined || !to.up) return;
    const answer = tableOf(to.state, now(to));
    give(b, { k: 'table', from: a, members: tableOf(from.state, now(from)) });
    after(LINK_MS, () => give(a, { k: 'table', from: b, members: answer }));
  }

  /** The smaller name owns the stream; the larger one knocks by handing over its table. */
  function connect(a: string, b: string): void {
    const host = hosts.get(a);
    if (host === undefined || !host.up || host.links.has(b) || !host.wanted.has(b)) return;
    if (reaches(a, b) && host.frozenUntil <= time) {
      if (a > b) exchange(a, b);
      else link(a, b);
    }
    after(REDIAL_MS, () => connect(a, b));
  }

  function link(a: string, b: string): void {
    hosts.get(a)?.links.add(b);
    hosts.get(b)?.links.add(a);
    after(LINK_MS, () => give(a, { k: 'link', peer: b, up: true, hard: false }));
    after(LINK_MS, () => give(b, { k: 'link', peer: a, up: true, hard: false }));
  }

  function unlink(a: string, b: string, ms: number): void {
    if (hosts.get(a)?.links.delete(b) === true) {
      after(ms, () => give(a, { k: 'link', peer: b, up: false, hard: true }));
      after(ms + REDIAL_MS, () => connect(a, b));
    }
  }

  function boot(id: string, bootMs: number, peers: readonly string[]): void {
    const config = {
      node: id,
      boot: bootMs,
      cluster: 'lab',
      address: `${id}:11440`,
      peers: peers.filter((peer) => peer !== id).map((node) => ({ node, address: `${node}:11440` })),
      heartbeatMs: 200,
      stallMs: 100,
    };
    const wall = bootMs - time;
    const seed = (options.seed ?? 1) * 7919 + hosts.size * 104_729;
    const state = withHubs(createMembership(config, { mono: time, boot: time, wall: bootMs }, seed), options.hubs ?? []);
    const host: Host = { id, boot: bootMs, state, up: true, frozenUntil: 0, wall, waiting: [], links: new Set(), wanted: new Set() };
    hosts.set(id, host);
    give(id, { k: 'tick' });
  }

  const known = (id: string) =>
    options.join === undefined || id === options.join ? (options.join === undefined ? ids : []) : [options.join];
  for (const id of ids) boot(id, 1_000_000, known(id));

  const cut = (a: string, b: string) => {
    cuts.add(pair(a, b));
    heals.delete(pair(a, b));
    after(KEEPALIVE_MS, () => {
      if (!cuts.has(pair(a, b))) return;
      unlink(a, b, 0);
      unlink(b, a, 0);
    });
  };

  return {
    events,
    seen,
    counts,
    cut,
    heal: (a: string, b: string) => cuts.delete(pair(a, b)),
    run(ms: number): void {
      const end = time + ms;
      for (let job = queue[0]; job !== undefined && job.at <= end; job = queue[0]) {
        queue.shift();
        time = Math.max(time, job.at);
        job.run();
      }
      time = end;
    },
    /** Kills the process: the kernel closes its sockets. */
    kill(id: string): void {
      const host = hosts.get(id);
      if (host === undefined) return;
      host.up = false;
      for (const peer of [...host.links]) unlink(peer, id, 2);
      host.links.clear();
    },
    /** Takes the host off the network without a word. */
    unplug(id: string): void {
      for (const other of hosts.keys()) if (other !== id) cut(id, other);
    },
    plug(id: string): void {
      for (const other of hosts.keys()) cuts.delete(pair(id, other));
    },
    restart(id: string, bootMs: number): void {
      boot(id, bootMs, known(id));
    },
    /** Stops the whole process; afterwards its timers fire before the waiting frames are read. */
    freeze(id: string, ms: number): void {
      const host = hosts.get(id);
      if (host === undefined) return;
      host.frozenUntil = time + ms;
      after(ms + 0.01, () => {
        give(id, { k: 'tick' });
        for (const input of host.waiting.splice(0)) give(id, input);
        give(id, { k: 'stall', lateMs: ms });
      });
    },
    leave(id: string): void {
      const host = hosts.get(id);
      if (host === undefined) return;
      settle(host, leaving(host.state, now(host)));
      after(5, () => {
        host.up = false;
        for (const peer of [...host.links]) {
          hosts.get(peer)?.links.delete(id);
          give(peer, { k: 'link', peer: id, up: false, hard: false });
        }
      });
    },
    stepWall(id: string, ms: number): void {
      const host = hosts.get(id);
      if (host !== undefined) host.wall += ms;
    },
    inject: give,
    view(on: string, of: string): Member | undefined {
      const host = hosts.get(on);
      return host === undefined ? undefined : membersOf(host.state).find((member) => member.node === of);
    },
    views(): string[] {
      const up = [...hosts.values()].filter((host) => host.up);
      return up.map(
        (host) =>
          `${host.id}: ${membersOf(host.state)
            .map((m) => `${m.node}=${m.state}`)
            .sort()
            .join(' ')}`,
      );
    },
    state: (id: string) => hosts.get(id)?.state,
    lhm: (id: string) => {
      const host = hosts.get(id);
      return host === undefined ? -1 : lhmOf(host.state);
    },
    clock: () => time,
  };
}

/** Whether everybody up holds everybody else up alive. */
export function allAlive(cluster: Cluster): boolean {
  return cluster.views().every((line) => !/=(suspect|dead|left)/.test(line));
}
