// The text of a scrape. Nothing is collected between scrapes; prom-client is loaded by the first.
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricsFacts } from './facts.ts';
import { type MetricRow, metricTable } from './table.ts';

/** What a scrape gets. */
export type Scrape = { readonly contentType: string; readonly text: string };

/** Metrics of a process. */
export type Metrics = { scrape(facts: MetricsFacts): Promise<Scrape> };

/** Names of what is not in the table: a histogram and its counter. */
export const moveMetrics = {
  total: { name: 'ollama_ha_failovers_total', help: 'Changes of the active node that this agent has seen, by cause.' },
  duration: {
    name: 'ollama_ha_failover_duration_seconds',
    help: 'How long such a change took, from the end of the old to the address of the new, by cause.',
  },
} as const;

// From a planned move (some 20 ms) to a lapse under the slowest preset.
const DURATION_BUCKETS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10, 30];

type Open = {
  readonly registry: Registry;
  readonly set: (facts: MetricsFacts) => void;
};

/** Metrics that are made by the first scrape. */
export function createMetrics(): Metrics {
  let opening: Promise<Open> | null = null;
  // One at a time: a scrape sets values that the next one overwrites.
  let last: Promise<unknown> = Promise.resolve();
  return {
    scrape(facts) {
      opening ??= open();
      const scrape = Promise.all([opening, last]).then(async ([{ registry, set }]): Promise<Scrape> => {
        set(facts);
        return { contentType: registry.contentType, text: await registry.metrics() };
      });
      last = scrape.catch(() => undefined);
      return scrape;
    },
  };
}

async function open(): Promise<Open> {
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  const setters = metricTable.map((row) =>
    setterOf(row, row.type === 'gauge' ? new prom.Gauge(optionsOf(row, registry)) : new prom.Counter(optionsOf(row, registry))),
  );
  const total = new prom.Counter({ ...moveMetrics.total, labelNames: ['cause'], registers: [registry] });
  const duration = new prom.Histogram({ ...moveMetrics.duration, labelNames: ['cause'], buckets: DURATION_BUCKETS, registers: [registry] });
  const set = (facts: MetricsFacts): void => {
    for (const setter of setters) setter(facts);
    takeMoves(facts, total, duration);
  };
  return { registry, set };
}

function optionsOf(row: MetricRow, registry: Registry): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
  return { name: row.name, help: row.help, labelNames: [...row.labels], registers: [registry] };
}

// Emptied first: what is no longer there must not be shown.
function setterOf(row: MetricRow, metric: Gauge | Counter): (facts: MetricsFacts) => void {
  return (facts) => {
    const samples = row.read(facts);
    metric.reset();
    // Without labels a reset leaves a zero behind, which would be a value nobody measured.
    if (row.labels.length === 0 && 'set' in metric) metric.remove();
    for (const { labels, value } of samples) {
      if ('set' in metric) metric.set(labels, value);
      else metric.inc(labels, Math.max(0, value));
    }
  };
}

function takeMoves({ tally }: MetricsFacts, total: Counter, duration: Histogram): void {
  for (const { cause, totalMs } of tally.takeMoves()) {
    total.inc({ cause });
    if (totalMs !== null) duration.observe({ cause }, totalMs / 1000);
  }
}
