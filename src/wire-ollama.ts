// The local Ollama: its probes, and what is asked, loaded and mended there.
import type { CarePort, OllamaPort, Sink } from './agent/ports.ts';
import type { Config } from './config/schema.ts';
import { createCare } from './drivers/ollama/care.ts';
import { startOllamaProbes } from './drivers/ollama/probes.ts';

/** Both sides of the local Ollama. */
export type LocalOllama = { readonly probes: OllamaPort; readonly care: CarePort };

/** Starts probing. Null: no `ollama:` section. */
export function openOllama({ ollama, health }: Config, sink: Sink): LocalOllama | null {
  if (ollama === null) return null;
  const own = new Set<number>();
  const { url, probeMs, timeoutMs, store } = ollama;
  const probes = startOllamaProbes({
    url,
    probeMs,
    timeoutMs,
    listMs: health.listEveryMs,
    own,
    behind: {
      store,
      runnerMs: health.runner.everyMs,
      runnerTimeoutMs: health.runner.timeoutMs,
      trafficMs: health.progress.trafficMs,
      hostMs: health.hostEveryMs,
      gpuMs: health.gpu.everyMs,
      gpuCommand: health.gpu.command,
    },
    sink,
  });
  const care = createCare({ url, store, restartCommand: health.remedies.restartCommand, own, sink });
  return { probes, care };
}
