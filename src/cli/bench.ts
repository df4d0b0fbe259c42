// agentctl bench: load on an Ollama endpoint, and how it answered.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { figuresOf, reportText } from './bench-report.ts';
import { runLoad } from './bench-run.ts';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';
import { jsonText } from './json.ts';

type Options = {
  model: string;
  threads: number;
  requests: number;
  prompt: string;
  tokens: number;
  image?: string;
  timeout: number;
  plot?: string;
  json?: true;
};

const IMAGE_BYTES_MAX = 20 << 20;

/** The command. Exit codes: 0 every request was answered, 1 some were not. */
export function benchCommand(ctx: CommandContext): Command {
  return new Command('bench')
    .argument('[url]', 'the endpoint', 'http://127.0.0.1:11434')
    .requiredOption('--model <name>', 'the model to ask')
    .option('--threads <n>', 'clients at the same time', whole('--threads', 1000), 10)
    .option('--requests <n>', 'requests of each client, one after the other', whole('--requests', 10_000), 100)
    .option('--prompt <text>', 'what to ask', 'Say hello.')
    .option('--tokens <n>', 'longest answer in tokens', whole('--tokens', 100_000), 32)
    .option('--image <file>', 'an image to send along, for models that see')
    .option('--timeout <seconds>', 'longest wait for a whole answer', whole('--timeout', 3600), 120)
    .option('--plot <file>', 'draw every answer over time, with percentiles, into an SVG file')
    .option('--json', 'print the figures as JSON')
    .addHelpText('after', '\nExit codes: 0 every request was answered, 1 some were not.')
    .action(async (url: string, options: Options) => {
      if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) throw usage(`${url} is not a URL`, 'write http://HOST:11434');
      // Before the load: an hour of it shall not end in a file that cannot be written.
      if (options.plot !== undefined) write(options.plot, '');
      const seen = await runLoad({
        ...options,
        url,
        image: options.image === undefined ? null : imageOf(options.image),
        timeoutMs: options.timeout * 1000,
        signal: ctx.signal ?? new AbortController().signal,
      });
      const figures = figuresOf(seen);
      if (options.plot !== undefined) {
        const { plotSvg } = await import('./bench-plot.ts');
        write(options.plot, plotSvg(seen.samples, figures, titleOf(url, options)));
      }
      ctx.out(options.json === true ? jsonText(figures) : reportText(figures, seen.latencyMs, ctx.columns));
      ctx.setExit(figures.errors === 0 ? 0 : 1);
    });
}

// Without what a URL may carry besides: pictures are passed on.
function titleOf(url: string, { model, threads, requests }: Options): string {
  return `${new URL(url).origin}, ${model}: ${threads} clients with ${requests} requests each`;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw usage(`${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, '--plot names a file to make');
  }
}

function imageOf(path: string): string {
  try {
    if (statSync(path).size > IMAGE_BYTES_MAX) throw usage(`${path} is larger than 20 MiB`, 'name a smaller image');
    return readFileSync(path).toString('base64');
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw usage(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, '--image names a PNG or JPEG file');
  }
}

function whole(option: string, max: number): (text: string) => number {
  return (text) => {
    if (!/^[1-9]\d{0,8}$/.test(text) || Number(text) > max) throw usage(`${option} ${text}`, `write a whole number from 1 to ${max}`);
    return Number(text);
  };
}

function usage(message: string, hint: string): CliError {
  return new CliError({ code: 'usage', message, hint, exitCode: EXIT_USAGE });
}
