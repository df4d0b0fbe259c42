// The events of virtual time: a binary heap by time, first come first served at equal times.

/** Something that happens at a moment of world time (ms). */
export type SimEvent = { readonly at: number; readonly seq: number; readonly run: () => void };

/** A queue of events. */
export type EventQueue = {
  readonly push: (at: number, run: () => void) => void;
  /** Removes the earliest event; undefined when none is left. */
  readonly pop: () => SimEvent | undefined;
  readonly size: () => number;
};

function before(a: SimEvent, b: SimEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}

function siftUp(heap: SimEvent[], event: SimEvent): void {
  let i = heap.length;
  heap.push(event);
  while (i > 0) {
    const up = (i - 1) >> 1;
    const parent = heap[up] as SimEvent;
    if (before(parent, event)) break;
    heap[i] = parent;
    i = up;
  }
  heap[i] = event;
}

function siftDown(heap: SimEvent[], event: SimEvent): void {
  const size = heap.length;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && before(heap[child + 1] as SimEvent, heap[child] as SimEvent)) child++;
    const below = heap[child] as SimEvent;
    if (!before(below, event)) break;
    heap[i] = below;
    i = child;
  }
  heap[i] = event;
}

/** An empty queue. */
export function createQueue(): EventQueue {
  const heap: SimEvent[] = [];
  let seq = 0;
  return {
    push(at, run) {
      seq += 1;
      siftUp(heap, { at, seq, run });
    },
    pop() {
      const top = heap[0];
      const last = heap.pop();
      if (top === undefined || last === undefined) return undefined;
      if (heap.length > 0) siftDown(heap, last);
      return top;
    },
    size: () => heap.length,
  };
}
