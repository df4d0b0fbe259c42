// Evidence to facts: one function for each kind.
import { learnLoad } from './learn-load.ts';
import { learnCanary, learnTraffic } from './learn-progress.ts';
import { learnPs, learnRunners } from './learn-runners.ts';
import { type HealthState, succeeded } from './state.ts';
import type { Evidence } from './types.ts';

/** Takes one piece of evidence in. */
export function learn(s: HealthState, e: Evidence, mono: number): HealthState {
  switch (e.k) {
    case 'conn':
      // Its end alone is no news: the fresh connect that follows tells a death from a lost connection.
      return e.up ? opened(s, mono) : s;
    case 'connect':
      // One that was tried before the port opened tells of the time before.
      return e.result === 'refused' && mono - (e.ms ?? 0) >= s.openedAt ? dead(s, mono) : s;
    case 'http':
      if (e.status === 0) return { ...s, misses: s.misses + 1, goods: 0, aliveSince: Infinity, http: { ...e, at: mono } };
      return alive(s, e, mono);
    case 'tags':
      return learnTags(s, e, mono);
    case 'ps':
      // The wait for a server that was silent as a whole is not its scheduler's.
      return isOldSilence(s, e, mono) ? s : learnPs(s, { ...e, ms: Math.max(0, Math.min(e.ms, mono - s.aliveSince)) }, mono);
    case 'process':
      return { ...s, server: { ...e, at: mono } };
    case 'runners':
      return learnRunners(s, e.runners, mono);
    case 'traffic':
      return learnTraffic(s, e, mono);
    case 'canary':
      return learnCanary({ ...s, poisoned: poisonedOf(s, e, s.canary.order?.model ?? '', e.result === 'ok') }, e, mono);
    case 'disk':
      return { ...s, disk: { ...e, at: mono } };
    case 'memory': {
      const more = e.oomKills !== null && s.memory !== null && s.memory.oomKills !== null && e.oomKills > s.memory.oomKills;
      return { ...s, memory: { ...e, at: mono }, oomAt: more ? mono : s.oomAt };
    }
    case 'gpu':
      return learnGpu(s, e, mono);
    case 'load':
      return { ...learnLoad(s, e, mono), poisoned: poisonedOf(s, e, e.model, e.state === 'done') };
    case 'remedied': {
      const done = s.remedy;
      if (done === null || done.id !== e.id) return s;
      const poisoned = done.k === 'healCache' && e.ok && done.model === s.poisoned ? null : s.poisoned;
      return { ...s, poisoned, remedy: null, remedied: s.remedied.map((r) => (r.id === e.id ? { ...r, text: e.text } : r)) };
    }
  }
}

// A restart empties the cache; a success shows that it is sound.
function poisonedOf(s: HealthState, e: { readonly poisoned?: boolean }, model: string, ok: boolean): string | null {
  if (e.poisoned === true) return model;
  return ok && model === s.poisoned ? null : s.poisoned;
}

function learnTags(s: HealthState, e: Extract<Evidence, { k: 'tags' }>, mono: number): HealthState {
  if (isOldSilence(s, e, mono)) return s;
  const ok = succeeded(e);
  const listGoods = s.listGoods + 1;
  // A store that is being changed fails for moments; one that counted as broken must be read more than once.
  const mended = ok && (mono - s.listBadSince < s.limits.listMs || listGoods >= s.config.recoveries);
  return {
    ...s,
    tags: { status: e.status, ms: e.ms, names: e.names, at: mono },
    abilities: e.abilities ?? s.abilities,
    // Silence is a matter of the server, not of the list.
    listBadSince: mended ? Infinity : ok || e.status === 0 ? s.listBadSince : Math.min(s.listBadSince, mono),
    listGoods: mended || !ok ? 0 : listGoods,
  };
}

function learnGpu(s: HealthState, e: Extract<Evidence, { k: 'gpu' }>, mono: number): HealthState {
  const before = s.gpu ?? { bad: 0, goods: 0, error: '' };
  if (e.error !== '') return { ...s, gpu: { ...e, at: mono, bad: before.bad + 1, goods: 0 } };
  const goods = before.goods + 1;
  const lost = before.bad >= s.limits.gpu.failures && goods < s.config.recoveries;
  return { ...s, gpu: { ...e, at: mono, bad: lost ? before.bad : 0, goods, error: lost ? before.error : '' } };
}

// What was asked while the whole process was silent says nothing about the one question.
function isOldSilence(s: HealthState, e: { readonly status: number; readonly ms: number }, mono: number): boolean {
  return e.status === 0 && mono - e.ms < s.aliveSince;
}

// A window opens with a new process: after a refusal, after service, or at the very first sight. A listener that drops
// connections without ever serving does not get a fresh window with each of them.
function opened(s: HealthState, mono: number): HealthState {
  const fresh = s.refused || s.answered || s.windowAt === -Infinity;
  return { ...s, refused: false, openedAt: mono, answered: fresh ? false : s.answered, windowAt: fresh ? mono : s.windowAt };
}

const DEATHS_MAX = 32;

function dead(s: HealthState, mono: number): HealthState {
  // The closed port is reported again and again; a death is counted once, and only of something that lived.
  const died = !s.refused && s.served;
  return {
    ...s,
    refused: true,
    answered: false,
    aliveSince: Infinity,
    windowAt: -Infinity,
    misses: 0,
    goods: 0,
    erring: false,
    http: null,
    tags: null,
    listBadSince: Infinity,
    listGoods: 0,
    ps: null,
    loaded: [],
    uses: new Map(),
    server: null,
    runners: [],
    orphans: new Map(),
    overdue: new Map(),
    failure: null,
    blind: null,
    lost: null,
    load: null,
    loadTrouble: null,
    poisoned: null,
    canary: { ...s.canary, open: false, order: null },
    deaths: died ? [...s.deaths, mono].slice(-DEATHS_MAX) : s.deaths,
  };
}

function alive(s: HealthState, e: Extract<Evidence, { k: 'http' }>, mono: number): HealthState {
  const version = e.version === '' ? s.version : e.version;
  const aliveSince = Math.min(s.aliveSince, mono);
  const http = { status: e.status, ms: e.ms, at: mono };
  const goods = succeeded(e) ? s.goods + 1 : 0;
  const erring = !succeeded(e) || (s.erring && goods < s.config.recoveries);
  return { ...s, refused: false, served: true, answered: true, aliveSince, misses: 0, goods, erring, http, version };
}
