// L3: validity counts from the send of a round: validUntil <= sent + T, where the acknowledgements of that very round came from a majority of
// the servers, or (failsafe) from every other member. L9: failsafe never extends a holder whose validity is over, nor does a lapsed one adopt.
import type { Host } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

type Round = { sentAt: number; epoch: number; acks: number; failsafe: number; members: number };

const ROUNDS = 64;

/** Counts extensions by failsafe, for the report. */
export type Extensions = { byFailsafe: number };

function bitsOf(mask: number): number {
  let n = 0;
  for (let m = mask; m !== 0; m &= m - 1) n++;
  return n;
}

function membersIn(world: World, meta: string): number {
  const { roster } = JSON.parse(meta) as { readonly roster: readonly string[] };
  return roster.reduce((mask, node) => mask | (1 << world.names.indexOf(node)), 0);
}

/** Watches L3 and L9. */
export function watchL3(world: World, extensions: Extensions): Watch {
  // Who may claim after this holder: the members that its own metas named, with epoch and when it first and last sent them. A meta of an epoch
  // before cannot reach a record of a later one.
  const named = world.hosts.map(() => new Map<string, { mask: number; epoch: number; first: number; last: number }>());
  const majority = Math.floor(world.servers.length / 2) + 1;
  const rounds: Round[][] = world.hosts.map(() => []);
  const seen = world.hosts.map(() => ({ validUntil: Number.NEGATIVE_INFINITY, epoch: 0 }));
  const find = (host: Host, match: (round: Round) => boolean) => rounds[host.index]?.findLast(match);
  const roundAt = (host: Host, epoch: number, sentAt: number): Round => {
    const known = find(host, (r) => r.epoch === epoch && r.sentAt === sentAt);
    if (known !== undefined) return known;
    const round = { sentAt, epoch, acks: 0, failsafe: -1, members: 0 };
    const list = rounds[host.index];
    list?.push(round);
    if (list !== undefined && list.length > 2 * ROUNDS) list.splice(0, ROUNDS);
    return round;
  };
  const noteRoster = (host: Host, { epoch, meta }: { epoch: number; meta: string }, mono: number) => {
    const sent = named[host.index];
    const known = sent?.get(meta);
    if (known?.epoch === epoch) known.last = mono;
    else sent?.set(meta, { mask: membersIn(world, meta) & ~(1 << host.index), epoch, first: mono, last: mono });
  };
  // The newest of then counts, however long ago Redis could last be told. A renewal with an older roster may arrive for T; until then those it
  // names may claim too. Whom a later roster names must first watch a record that says so, which takes longer than this validity.
  const votersAt = (host: Host, { sentAt, epoch }: Round) => {
    const said = [...(named[host.index]?.values() ?? [])].filter((meta) => meta.epoch === epoch && meta.first <= sentAt);
    const newest = Math.max(...said.map((meta) => meta.first));
    const live = said.filter((meta) => meta.first === newest || meta.last > sentAt - world.lease.ttlMs);
    return live.length === 0 ? -1 : live.reduce((mask, meta) => mask | meta.mask, 0);
  };
  return {
    name: 'L3',
    started(host) {
      // A lease that was handed on rests on the rounds of the process before.
      if (host.ownerBoot !== host.boot) return;
      rounds[host.index] = [];
      named[host.index]?.clear();
      seen[host.index] = { validUntil: Number.NEGATIVE_INFINITY, epoch: 0 };
    },
    peerSent(host, _to, msg, mono) {
      if (msg.k === 'failsafeRequest') roundAt(host, msg.epoch, mono).failsafe = msg.round;
    },
    sent(host, { call }, mono) {
      if (call.script === 'cas' || call.script === 'renew') noteRoster(host, call, mono);
      const last = seen[host.index];
      if (call.script !== 'cas' || call.mode !== 'adopt' || last === undefined) return;
      if (last.epoch === call.epoch && mono >= last.validUntil + 1e-6) fail(world, 'L9', `${host.id} adopts although its validity is over`);
    },
    input(host, input, call) {
      if (input.k === 'reply' && input.code === 'ok' && call !== null) {
        const script = call.call;
        if (script.script === 'renew' || script.script === 'cas') roundAt(host, script.epoch, call.sentAt).acks |= 1 << input.server;
      }
      if (input.k === 'peer' && input.msg.k === 'failsafeReply' && input.msg.verdict === 'accepted') {
        const { epoch, round } = input.msg;
        const asked = find(host, (r) => r.epoch === epoch && r.failsafe === round);
        if (asked !== undefined) asked.members |= 1 << world.names.indexOf(input.from);
      }
    },
    turn(host, turn, mono) {
      const last = seen[host.index];
      if (last === undefined || turn.lease.validUntil === Number.NEGATIVE_INFINITY) return;
      const { validUntil, epoch } = turn.lease;
      if (epoch === last.epoch && validUntil <= last.validUntil) return;
      const enough = (r: Round) => r.epoch === epoch && r.sentAt + world.lease.ttlMs + 1e-6 >= validUntil;
      const byRedis = find(host, (r) => enough(r) && bitsOf(r.acks) >= majority);
      const byMembers = byRedis === undefined ? find(host, (r) => enough(r) && (votersAt(host, r) & ~r.members) === 0) : undefined;
      if (byRedis === undefined && byMembers === undefined) {
        fail(world, 'L3', `${host.id} is valid for ${(validUntil - mono).toFixed(1)} ms more, which no acknowledged round supports`);
      }
      if (byMembers !== undefined) {
        extensions.byFailsafe += 1;
        if (epoch !== last.epoch || mono >= last.validUntil) fail(world, 'L9', `failsafe revives ${host.id} under epoch ${epoch}`);
      }
      last.validUntil = validUntil;
      last.epoch = epoch;
    },
  };
}
