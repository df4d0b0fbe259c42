// Each level of evidence apart, as status shows it. The verdict over all of them stands in rules.ts.
import { ORPHAN_LOOKS } from './learn-runners.ts';
import { missing } from './signs.ts';
import { type HealthState, nameOfRunner, succeeded } from './state.ts';
import { LEVELS, type Level, type LevelName } from './types.ts';
import { bytes, outcome, percent, seconds, some } from './words.ts';

type Shown = Omit<Level, 'level'>;

/** All levels, the surest proof of service in the middle, the host's means behind. */
export function levelsOf(s: HealthState, mono: number): Level[] {
  return LEVELS.map((level) => ({ level, ...SHOWN[level](s, mono) }));
}

const SHOWN: Readonly<Record<LevelName, (s: HealthState, mono: number) => Shown>> = {
  process: (s) => {
    const at = s.server?.at ?? s.at;
    if (s.refused) return { state: 'failed', text: 'nobody listens on the port', at };
    if (s.server === null || s.server.pid === null)
      return { state: s.served ? 'ok' : 'unknown', text: s.served ? 'somebody listens' : 'not seen', at };
    if (s.server.state === 'T' || s.server.state === 'Z')
      return { state: 'failed', text: `pid ${s.server.pid} is ${s.server.state === 'T' ? 'stopped' : 'a zombie'}`, at };
    return {
      state: s.server.state === 'D' ? 'warning' : 'ok',
      text: `pid ${s.server.pid}${s.server.state === 'D' ? ' is stuck in the kernel' : ''}`,
      at,
    };
  },
  http: (s) => {
    if (s.http === null) return none('not asked yet');
    const { at, ms } = s.http;
    if (s.misses >= s.config.failures) return { state: 'failed', text: `silent ${s.misses} times in a row`, at };
    if (s.misses > 0) return { state: 'warning', text: `silent ${s.misses} of ${s.config.failures} times`, at };
    if (!succeeded(s.http)) return { state: 'failed', text: `answers ${s.http.status}`, at };
    return { state: ms > s.limits.warnMs ? 'warning' : 'ok', text: `${Math.round(ms)} ms`, at };
  },
  store: (s, mono) => {
    if (s.tags === null) return none('not read yet');
    const { at } = s.tags;
    const badMs = mono - s.listBadSince;
    if (!succeeded(s.tags)) return { state: badMs >= s.limits.listMs ? 'failed' : 'warning', text: `the list ${outcome(s.tags)}`, at };
    const gone = missing(s);
    if (gone.length > 0) return { state: 'failed', text: `required models missing: ${some(gone)}`, at };
    return { state: 'ok', text: `${s.tags.names.length} models listed`, at };
  },
  runner: (s) => {
    if (s.ps === null) return none('not asked yet');
    const at = Math.max(s.ps.at, s.runnersAt);
    const frozen = s.runners.find((r) => r.frozen);
    if (frozen !== undefined) return { state: 'failed', text: `${nameOfRunner(s, frozen)} (pid ${frozen.pid}) is frozen`, at };
    if (!succeeded(s.ps)) return { state: 'warning', text: `/api/ps ${outcome(s.ps)}`, at };
    const dead = s.loaded.filter((m) => m.weights !== undefined && (s.orphans.get(m.weights) ?? 0) >= ORPHAN_LOOKS).map((m) => m.name);
    if (dead.length > 0) return { state: 'warning', text: `${some(dead)} is listed without a process`, at };
    const part = s.loaded.find((m) => m.vramBytes > 0 && m.vramBytes < m.sizeBytes);
    if (part !== undefined)
      return {
        state: 'warning',
        text: `${part.name} has ${percent(part.vramBytes / part.sizeBytes)} of its weights in graphics memory`,
        at,
      };
    const slow = s.ps.ms > s.config.timeoutMs / 2 || s.runners.some((r) => r.silences > 0);
    return {
      state: slow ? 'warning' : 'ok',
      text: `${s.loaded.length} loaded, ${s.runners.length} runners, /api/ps ${Math.round(s.ps.ms)} ms`,
      at,
    };
  },
  progress: (s, mono) => {
    const at = Math.max(s.provenAt, s.canary.askedAt, s.traffic?.at ?? -Infinity);
    if (s.failure !== null) return { state: 'failed', text: `${s.failure.model}: no token for ${seconds(mono - s.failure.since)}`, at };
    if (s.blind !== null) return { state: 'warning', text: `${s.blind.model} fails with an image`, at };
    if (s.provenAt === -Infinity) return { state: 'unknown', text: s.loaded.length === 0 ? 'nothing is loaded' : 'no token seen yet', at };
    const by = s.provenAt === s.movedAt ? "users' bytes" : 'canary';
    return { state: 'ok', text: `token ${seconds(mono - s.provenAt)} ago, by ${by}`, at };
  },
  disk: (s) => {
    if (s.disk === null) return none('not looked at yet');
    const { freeBytes, at } = s.disk;
    const state = freeBytes < s.limits.disk.fullBytes ? 'failed' : freeBytes < s.limits.disk.warnBytes ? 'warning' : 'ok';
    return { state, text: `${bytes(freeBytes)} free`, at };
  },
  memory: (s, mono) => {
    if (s.memory === null) return none('not looked at yet');
    const { availableBytes, at } = s.memory;
    const killed = mono - s.oomAt < KILL_SHOWN_MS;
    const state = killed || availableBytes < s.limits.memory.warnBytes ? 'warning' : 'ok';
    return { state, text: `${bytes(availableBytes)} available${killed ? '; the kernel killed a process for want of it' : ''}`, at };
  },
  gpu: (s) => {
    if (s.gpu === null) return none('no card seen');
    const { error, bad, usedBytes, totalBytes, at } = s.gpu;
    if (error !== '') return { state: bad >= s.limits.gpu.failures ? 'failed' : 'warning', text: error, at };
    return { state: 'ok', text: `${bytes(usedBytes)} of ${bytes(totalBytes)} used`, at };
  },
};

const KILL_SHOWN_MS = 600_000;

function none(text: string): Shown {
  return { state: 'unknown', text, at: -Infinity };
}
