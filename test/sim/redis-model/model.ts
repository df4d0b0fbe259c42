// One Redis server as the lease sees it: the record, the run_id, and the four scripts, without time and without a network.
//
// The contract suite (test/contract/redis) runs this model and the real server through the same calls. Whoever simulates
// decides when a call executes: a stalled server is a call executed late, a lost reply is a result thrown away.
//
// Mutable and free of copies, because a simulation executes it very often: a reply shares the record object, and every
// write makes a new one.
import type { ScriptCall, ScriptCode, ScriptFailure, Snap } from '../../../src/core/lease/types.ts';

/** What the server refuses at the moment: `oom` and `readonly` only writes, `loading` everything. */
export type RedisFault = 'none' | 'oom' | 'readonly' | 'loading';

/** A server. Change it only through the functions of this file. */
export type RedisModel = {
  readonly runIdSeed: number;
  /** Process starts so far; with the seed it makes the run_id. */
  starts: number;
  fault: RedisFault;
  /** The last epoch that was turned into text, and the text: renewals repeat it, and the conversion is the dearest part. */
  epoch: number;
  epochText: string;
  /** The record, with the run_id of the present process. Never changed in place. */
  snap: Snap;
};

/** A script's reply, or the error that the server gave instead. */
export type ModelResult = { readonly code: ScriptCode; readonly snap: Snap } | { readonly failure: ScriptFailure };

/** Data of a server at some moment, for a later rollback. */
export type RedisSnapshot = Snap;

/** What a restarted server still has. */
export type Keep = 'all' | 'empty' | { readonly rollbackTo: RedisSnapshot };

/** A fresh, empty server. Servers with different seeds never share a run_id, nor do two starts of one server. */
export function createRedisModel({ runIdSeed }: { readonly runIdSeed: number }): RedisModel {
  return { runIdSeed, starts: 1, fault: 'none', epoch: 0, epochText: '0', snap: emptyRecord(runId(runIdSeed, 1)) };
}

/** Runs one script to its end, as src/drivers/redis/scripts defines it. */
export function execute(model: RedisModel, call: ScriptCall): ModelResult {
  if (model.fault === 'loading') return { failure: 'loading' };
  switch (call.script) {
    case 'read':
      return read(model, call);
    case 'cas':
      return cas(model, call);
    case 'renew':
      return renew(model, call);
    case 'release':
      return release(model, call);
  }
}

/** Ends the process and starts another one with what `keep` says. Faults of the configuration (`oom`, `readonly`) stay. */
export function restart(model: RedisModel, keep: Keep): void {
  model.starts += 1;
  const run = runId(model.runIdSeed, model.starts);
  if (keep === 'empty') model.snap = emptyRecord(run);
  else model.snap = { ...(keep === 'all' ? model.snap : keep.rollbackTo), run };
  if (model.fault === 'loading') model.fault = 'none';
}

/** All data gone, the process goes on: FLUSHALL, an eviction, or DEL of the key. */
export function flushAll(model: RedisModel): void {
  model.snap = emptyRecord(model.snap.run);
}

/** The data as they are now. */
export function snapshot(model: RedisModel): RedisSnapshot {
  return model.snap;
}

/** Begins or ends a fault. */
export function setFault(model: RedisModel, fault: RedisFault): void {
  model.fault = fault;
}

function read(model: RedisModel, call: Extract<ScriptCall, { script: 'read' }>): ModelResult {
  if (model.snap.n !== '') return { code: 'ok', snap: model.snap };
  return write(model, '', '0', call.nonce, '0', '', '');
}

function cas(model: RedisModel, call: Extract<ScriptCall, { script: 'cas' }>): ModelResult {
  const snap = model.snap;
  if (snap.run !== call.run) return { code: 'run', snap };
  if (snap.o !== call.o || snap.e !== call.e || snap.n !== call.n) return { code: 'changed', snap };
  if (call.mode === 'claim' && snap.hi !== '' && call.epoch <= Number(snap.hi)) return { code: 'epoch', snap };
  return write(model, call.me, textOf(model, call.epoch), call.nonce, '0', '', call.meta);
}

function renew(model: RedisModel, call: Extract<ScriptCall, { script: 'renew' }>): ModelResult {
  const snap = model.snap;
  if (snap.run !== call.run) return { code: 'run', snap };
  const epoch = textOf(model, call.epoch);
  if (snap.o !== call.me || snap.e !== epoch || snap.rel === '1') return { code: 'lost', snap };
  return write(model, call.me, epoch, call.nonce, '0', '', call.meta);
}

function release(model: RedisModel, call: Extract<ScriptCall, { script: 'release' }>): ModelResult {
  const snap = model.snap;
  const epoch = textOf(model, call.epoch);
  if (snap.o !== call.me || snap.e !== epoch) return { code: 'lost', snap };
  return write(model, call.me, epoch, call.nonce, '1', call.heir, snap.meta);
}

function textOf(model: RedisModel, epoch: number): string {
  if (model.epoch !== epoch) {
    model.epoch = epoch;
    model.epochText = String(epoch);
  }
  return model.epochText;
}

function write(model: RedisModel, o: string, e: string, n: string, rel: string, heir: string, meta: string): ModelResult {
  if (model.fault === 'oom' || model.fault === 'readonly') return { failure: model.fault };
  const { run, hi } = model.snap;
  const snap: Snap = { run, o, e, n, rel, heir, hi: hi === e || (hi !== '' && Number(e) <= Number(hi)) ? hi : e, meta };
  model.snap = snap;
  return { code: 'ok', snap };
}

function emptyRecord(run: string): Snap {
  return { run, o: '', e: '', n: '', rel: '', heir: '', hi: '', meta: '' };
}

/** 40 hex digits: seed and start number in full, so that no two are equal, the rest mixed from both. */
function runId(seed: number, start: number): string {
  let text = hex(seed) + hex(start);
  let mixed = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(start, 0x85ebca6b)) >>> 0;
  while (text.length < 40) {
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 0;
    text += hex(mixed);
  }
  return text;
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
