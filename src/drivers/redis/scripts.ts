// The lease's Lua scripts: their text, their key, their arguments. The contract of each stands in its .lua file.
import { readFileSync } from 'node:fs';
import type { ScriptCall } from '../../core/lease/types.ts';

/** Name of a script: the file name without `.lua`. */
export type ScriptName = ScriptCall['script'];

/** Every script, for clients that define them all. */
export const scriptNames: readonly ScriptName[] = ['read', 'cas', 'renew', 'release'];

/** Lua source of a script, the common prelude in front. The one place that knows where the text comes from. */
export function scriptText(name: ScriptName): string {
  return texts.prelude() + texts[name]();
}

// Literal names: the packaged executable holds the text in their place (deploy/build).
const texts = {
  prelude: () => readFileSync(new URL('./scripts/prelude.lua', import.meta.url), 'utf8'),
  read: () => readFileSync(new URL('./scripts/read.lua', import.meta.url), 'utf8'),
  cas: () => readFileSync(new URL('./scripts/cas.lua', import.meta.url), 'utf8'),
  renew: () => readFileSync(new URL('./scripts/renew.lua', import.meta.url), 'utf8'),
  release: () => readFileSync(new URL('./scripts/release.lua', import.meta.url), 'utf8'),
} as const;

/** Key of the lease record. The braces keep all keys of a cluster in one slot and match the ACL's key pattern. */
export function leaseKey(cluster: string): string {
  return `{ha:${cluster}}:lease`;
}

/** ARGV of a call, in the order that the header of its Lua file names. */
export function scriptArgs(call: ScriptCall): string[] {
  switch (call.script) {
    case 'read':
      return [call.nonce];
    case 'cas':
      return [call.run, call.o, call.e, call.n, call.me, String(call.epoch), call.nonce, call.meta, call.mode];
    case 'renew':
      return [call.run, call.me, String(call.epoch), call.nonce, call.meta];
    case 'release':
      return [call.me, String(call.epoch), call.nonce, call.heir];
  }
}
