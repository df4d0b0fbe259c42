// The sections `health:` and `hotSet:`: limits of the evidence about the local Ollama, what may be done about it, and what is kept loaded.
import { z } from 'zod';

const ms = (min: number, max: number) => z.int().min(min).max(max);
const size = z.int().min(0);
const names = z.array(z.string().min(1).max(256)).max(64);
const argv = z.array(z.string().min(1).max(4096)).max(32);

const remedy = (coolDownMs: number) => ({
  enabled: z.boolean().default(false).describe('Allow it.'),
  perHourMax: ms(1, 100).default(3).describe('At most so often within an hour.'),
  coolDownMs: ms(1000, 86_400_000).default(coolDownMs).describe('Pause after one.'),
});

/** `health:`. */
export const healthSchema = z.strictObject({
  warnMs: ms(1, 60_000).default(500).describe('An answer slower than this is a warning.'),
  recoveries: ms(1, 100)
    .default(2)
    .describe('Good answers in a row until what had failed (HTTP, list, runner, tokens, cards) is believed again.'),
  listEveryMs: ms(100, 600_000).default(5000).describe('Period of looks at the list of models (/api/tags).'),
  listBrokenMs: ms(1000, 3_600_000).default(15_000).describe('A list that fails for this long counts as broken.'),
  runner: z
    .strictObject({
      everyMs: ms(200, 600_000).default(2000).describe('Period at which each runner is asked its own /health.'),
      timeoutMs: ms(100, 60_000).default(2000).describe('Time for its answer.'),
      failures: ms(1, 100).default(3).describe('Silences in a row until it counts as frozen; three times as many while it uses CPU time.'),
    })
    .prefault({})
    .describe('The runner processes (llama-server).'),
  progress: z
    .strictObject({
      canaryMs: ms(1000, 86_400_000).default(30_000).describe('Period at which an idle node is asked for one token of a loaded model.'),
      deadlineMs: ms(500, 600_000).default(5000).describe('Time for it; ten times the slowest so far, if that is more.'),
      trafficMs: ms(500, 60_000).default(1500).describe("Period of looks at the bytes of users' connections."),
      stallMs: ms(500, 600_000).default(2500).describe('An answer that began and is silent for this long is looked into by a token.'),
      firstTokenMs: ms(1000, 86_400_000).default(300_000).describe('A request without a byte is waiting, not hung, for this long.'),
      slowFactor: ms(2, 1000)
        .default(10)
        .describe('Tokens that take so many times as long as the quickest so far, and over 1 s, are slow.'),
      imageEvery: ms(0, 1000).default(10).describe('Every so many of these tokens a vision model is shown an image; 0 = never.'),
    })
    .prefault({})
    .describe('Do tokens flow?'),
  loadStuckMs: ms(1000, 86_400_000).default(20_000).describe('A load that no process works on for this long is stuck.'),
  slowLoadMs: ms(1000, 86_400_000).default(30_000).describe('A load that goes on for this long is named; it moves nothing.'),
  stuckUnloadMs: ms(1000, 86_400_000)
    .default(30_000)
    .describe('A model whose time is over, and that nobody uses, must have left memory within this time.'),
  zombieMs: ms(1000, 86_400_000)
    .default(30_000)
    .describe('A runner that is ready, and that /api/ps does not name for this long, is a zombie.'),
  reloads: ms(2, 256).default(6).describe('So many loads of one model within `crash.windowMs` are a reload thrash.'),
  hostEveryMs: ms(500, 600_000).default(10_000).describe('Period of looks at process, disk and memory.'),
  disk: z
    .strictObject({
      warnBytes: size.default(5_368_709_120).describe('Less free space than this is a warning.'),
      fullBytes: size.default(104_857_600).describe('Less than this counts as full.'),
    })
    .prefault({})
    .describe('The disk of the store.'),
  memory: z
    .strictObject({ warnBytes: size.default(268_435_456).describe('Less available memory than this is a warning.') })
    .prefault({})
    .describe("The host's memory."),
  gpu: z
    .strictObject({
      everyMs: ms(1000, 3_600_000).default(30_000).describe('Period of looks at the cards.'),
      command: argv
        .min(1)
        .default(['nvidia-smi', '--query-gpu=memory.used,memory.total', '--format=csv,noheader,nounits'])
        .describe('Prints used and whole memory of each NVIDIA card in MiB; run only where there is such a card.'),
      failures: ms(1, 100).default(2).describe('Failures in a row until the card counts as lost.'),
      share: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe("A model with less than this part of its usual share in the card's memory has lost it."),
    })
    .prefault({})
    .describe('The graphics cards.'),
  crash: z
    .strictObject({
      count: ms(2, 100).default(3).describe('So many deaths are a crash loop,'),
      windowMs: ms(1000, 86_400_000).default(300_000).describe('within this time.'),
      holdMs: ms(1000, 86_400_000).default(60_000).describe('Without another one for this long it is over.'),
    })
    .prefault({})
    .describe('Deaths of Ollama, or of its runners.'),
  remedies: z
    .strictObject({
      unloadBlocker: z
        .strictObject(remedy(60_000))
        .prefault({})
        .describe('Scheduler deadlock: unload the model that the waiting load waits for.'),
      killRunner: z.strictObject(remedy(60_000)).prefault({}).describe('A frozen or hung runner: kill that process alone.'),
      healCache: z
        .strictObject(remedy(60_000))
        .prefault({})
        .describe('A model that a poisoned cache denies: make Ollama read it anew; this loads it.'),
      restartOllama: z.strictObject(remedy(300_000)).prefault({}).describe('What the others do not cure: run `restartCommand`.'),
      restartCommand: argv.default(['systemctl', 'restart', 'ollama.service']).describe('Program and arguments; no shell.'),
    })
    .prefault({})
    .describe('What the agent may do about a trouble by itself. All off by default.'),
});

/** `hotSet:`. */
export const hotSetSchema = z.strictObject({
  mode: z
    .enum(['mirror', 'list', 'off'])
    .default('mirror')
    .describe('mirror: a standby loads what the active has loaded. list: `models` are kept loaded on every node. off: nothing is loaded.'),
  models: names.default([]).describe('The list.'),
  loadMs: ms(1000, 86_400_000).default(1_800_000).describe('Patience for one load; slow disks need minutes.'),
  retryMs: ms(100, 86_400_000).default(10_000).describe('Pause after a load that failed, doubled with each further one.'),
});
