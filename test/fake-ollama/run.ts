// The program: options, start, signals. Flags: see options.ts. SIGTERM drops every connection and exits with 0.
import { type FakeOptions, programOptions } from './options.ts';
import { type FakeOllama, startFakeOllama } from './server.ts';

function fail(text: string): never {
  process.stderr.write(`Error: ${text}\n`);
  process.exit(1);
}

function optionsOrFail(): FakeOptions {
  try {
    return programOptions(process.argv.slice(2), process.env);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

async function startOrFail(options: FakeOptions): Promise<FakeOllama> {
  try {
    return await startFakeOllama(options);
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    return fail(taken ? `listen tcp ${options.host}:${options.port}: bind: address already in use` : String(error));
  }
}

const options = optionsOrFail();
const fake = await startOrFail(options);
const control = fake.controlUrl === null ? '' : ` control=${fake.controlUrl}`;
process.stdout.write(`level=INFO msg="Listening on ${options.host}:${fake.port} (version ${options.version})"${control}\n`);

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    fake.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
