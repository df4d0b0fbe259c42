// What probers record, and the figures drawn from it. Pure. Times are monotonic milliseconds of the machine.

/** One request through the VIP. It failed unless `error` is ''. `node` is '' when the answer did not name one. */
export type RequestRecord = { readonly at: number; readonly latencyMs: number; readonly error: string; readonly node: string };

/** One ARP answer for the VIP. */
export type ArpRecord = { readonly at: number; readonly mac: string };

/**
 * How long clients were without service.
 * `faultAt` given (something broke): from the fault to the start of the first request after which all succeed; null (planned move): from the
 * first failed request instead. 0 when none failed; Infinity when no request succeeded after the last failure.
 * Only requests that were answered, or started, after `since` count (default: the fault).
 */
export function outageMs(requests: readonly RequestRecord[], faultAt: number | null, since: number = faultAt ?? -Infinity): number {
  const relevant = requests.filter((r) => r.at + r.latencyMs >= since).sort((a, b) => a.at - b.at);
  const firstFailed = relevant.findIndex((r) => r.error !== '');
  const lastFailed = relevant.findLastIndex((r) => r.error !== '');
  const start = faultAt ?? relevant[firstFailed]?.at;
  if (lastFailed < 0 || start === undefined) return 0;
  const recovered = relevant[lastFailed + 1];
  return recovered === undefined ? Infinity : Math.max(0, recovered.at - start);
}

/** A silence longer than this ends a MAC's ownership: a frozen or cut owner that answers again later is a new one. */
const ownershipGapMs = 50;

/** A stretch of answers of one MAC; `first` and `last` are places in the order of arrival. */
type Ownership = { readonly mac: string; readonly first: number; last: number; readonly from: number; to: number };

/**
 * How long two MACs answered for the VIP at the same time. Order of arrival decides, not clock differences: a plain change from A to B is
 * none. Two owners that alternate for less than a probe period count as one period.
 */
export function twoOwnersMs(answers: readonly ArpRecord[], periodMs = 5): number {
  const spans = ownerships(answers);
  let sum = 0;
  for (const [index, a] of spans.entries()) {
    for (const b of spans.slice(index + 1)) {
      if (b.first > a.last) break; // spans are in the order of their first answers
      sum += Math.max(periodMs, Math.min(a.to, b.to) - b.from);
    }
  }
  return sum;
}

/** The MACs that answered, in order, each with the first and last time of its stretch. */
export function owners(answers: readonly ArpRecord[]): { readonly mac: string; readonly from: number; readonly to: number }[] {
  return ownerships(answers).map(({ mac, from, to }) => ({ mac, from, to }));
}

function ownerships(answers: readonly ArpRecord[]): Ownership[] {
  const all: Ownership[] = [];
  const current = new Map<string, Ownership>();
  answers.forEach(({ at, mac }, place) => {
    const open = current.get(mac);
    if (open !== undefined && at - open.to <= ownershipGapMs) {
      open.to = at;
      open.last = place;
      return;
    }
    const span = { mac, first: place, last: place, from: at, to: at };
    current.set(mac, span);
    all.push(span);
  });
  return all;
}
