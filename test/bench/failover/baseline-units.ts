// Units that the baselines' hosts run, as a user's hosts would.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HostPlan } from '../../lab/kit.ts';
import { projectRoot } from '../../lab/names.ts';
import type { UnitSpec } from '../../lab/supervisor/protocol.ts';

/** The same fake Ollama as the product's hosts have, restarted as Ollama's own unit restarts it. */
export function fakeOllamaUnit(plan: HostPlan): UnitSpec {
  const store = join(plan.dataDir, 'models');
  mkdirSync(store, { recursive: true });
  return {
    name: 'ollama',
    files: [join(projectRoot, 'test/lab/units/ollama-fake.service')],
    log: join(plan.logDir, 'ollama.log'),
    environment: { OLLAMA_HOST: '0.0.0.0', OLLAMA_PORT: '11434', OLLAMA_MODELS: store, FAKE_CONTROL: '11435' },
    programs: { '/usr/bin/fake-ollama': [process.execPath, join(projectRoot, 'test/fake-ollama/main.ts')] },
  };
}
