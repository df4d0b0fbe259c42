import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateModel, startRegistry } from './registry.ts';
import { startFakeOllama } from './server.ts';
import { writeModel } from './store.ts';

const HERE = import.meta.dirname;

let store: string;
const ends: (() => void | Promise<void>)[] = [];
beforeEach(() => {
  store = mkdtempSync(join(tmpdir(), 'fake-program-'));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(store, { recursive: true, force: true });
});

async function start(args: readonly string[], env: Record<string, string> = {}): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, [join(HERE, 'main.ts'), ...args], { env: { ...process.env, ...env } });
  ends.push(() => void child.kill('SIGKILL'));
  const line = await new Promise<string>((settle, fail) => {
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
      if (out.includes('\n')) settle(out.trim());
    });
    child.stderr.on('data', (bytes) => {
      out += bytes;
    });
    child.once('exit', () => fail(new Error(out)));
  });
  return { child, line };
}

function post(url: string, body: unknown): Promise<Response> {
  return fetch(url, { method: 'POST', body: JSON.stringify(body) });
}

describe('the fake as a program', () => {
  it('takes its settings from the environment of Ollama, and faults over the control port', async () => {
    writeModel(store, 'tiny');
    const { line } = await start(['--port', '0', '--control', '0'], {
      OLLAMA_HOST: '127.0.0.1',
      OLLAMA_MODELS: store,
      OLLAMA_KEEP_ALIVE: '-1',
      OLLAMA_CONTEXT_LENGTH: '1234',
    });
    const port = /Listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    const control = /control=(\S+)/.exec(line)?.[1] ?? '';
    const url = `http://127.0.0.1:${port}`;
    expect((await post(`${url}/api/generate`, { model: 'tiny' })).status).toBe(200);
    const ps = (await (await fetch(`${url}/api/ps`)).json()) as { models: { context_length: number; expires_at: string }[] };
    expect(ps.models[0]?.context_length).toBe(1234);
    expect(Number(ps.models[0]?.expires_at.slice(0, 4))).toBeGreaterThan(2300);

    expect((await post(`${control}/fault`, { hang: 'everything', unknownKnob: 1 })).status).toBe(400);
    await post(`${control}/fault`, { httpError: { path: '/api/tags', status: 500, error: 'broken' } });
    expect(await (await fetch(`${url}/api/tags`)).json()).toEqual({ error: 'broken' });
    await post(`${control}/fault`, { refuse: true });
    await expect(fetch(`${url}/`)).rejects.toThrow();
    await post(`${control}/clear`, {});
    expect((await fetch(`${url}/api/tags`)).status).toBe(200);
  });

  it('shows a llama-server process with its port in the arguments, and its health', async () => {
    writeModel(store, 'tiny');
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await post(`${fake.url}/api/generate`, { model: 'tiny' });
    const [runner] = fake.runners();
    const argv = readFileSync(`/proc/${runner?.pid}/cmdline`, 'utf8').split('\0');
    expect(argv[0]).toBe('llama-server');
    expect(argv[argv.indexOf('--port') + 1]).toBe(String(runner?.port));
    expect(readFileSync(`/proc/${runner?.pid}/comm`, 'utf8').trim()).toBe('llama-server');
    expect(await (await fetch(`http://127.0.0.1:${runner?.port}/health`)).json()).toEqual({ status: 'ok' });
  });

  it('runs the source of llama-server as it is: no type annotation in it', () => {
    const source = readFileSync(join(HERE, 'llama-server.ts'), 'utf8');
    expect(stripTypeScriptTypes(source)).toBe(source);
  });

  it('ends with 0 on SIGTERM and leaves no runner behind', async () => {
    writeModel(store, 'tiny');
    const { child, line } = await start(['--port', '0', '--control', '0', '--store', store]);
    const control = /control=(\S+)/.exec(line)?.[1] ?? '';
    await post(`http://127.0.0.1:${/:(\d+) \(version/.exec(line)?.[1]}/api/generate`, { model: 'tiny' });
    const state = (await (await fetch(`${control}/state`)).json()) as { runners: { pid: number }[] };
    const ended = new Promise((settle) => child.once('exit', settle));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(() => process.kill(state.runners[0]?.pid ?? 0, 0)).toThrow('ESRCH');
  });

  it('says in one line that its port is taken, or that a flag is wrong', async () => {
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await expect(start(['--port', String(fake.port), '--store', store])).rejects.toThrow(/bind: address already in use\n$/);
    await expect(start(['--port', 'x'])).rejects.toThrow(/^Error: --port: not a whole number: x\n$/);
  });
});

describe('the answers of the fake', () => {
  it('are the same on every node for the same prompt, and go on where a part of them ends', async () => {
    const other = mkdtempSync(join(tmpdir(), 'fake-program-'));
    ends.push(() => rmSync(other, { recursive: true }));
    const answers: string[] = [];
    for (const each of [store, other]) {
      writeModel(each, 'm', { seed: 5 });
      const fake = await startFakeOllama({ store: each, tokenMs: 0 });
      ends.push(() => fake.close());
      const reply = (await (await post(`${fake.url}/api/generate`, { model: 'm', prompt: 'why?', stream: false })).json()) as {
        response: string;
      };
      answers.push(reply.response);
      const cut = reply.response.split(' ').slice(0, 8).join(' ');
      const raw = (await (await post(`${fake.url}/api/generate`, { model: 'm', prompt: `x${cut}`, raw: true, stream: false })).json()) as {
        response: string;
      };
      expect(cut + raw.response).toBe(reply.response);
    }
    expect(answers[0]).toBe(answers[1]);
    expect((answers[0] ?? '').split(' ').length).toBeGreaterThan(20);
  });

  it.each(['split', 'join'] as const)('can be cut and joined into other chunks: %s', async (segmentation) => {
    writeModel(store, 'm', { text: 'one two three four' });
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await fake.fault({ segmentation });
    const text = await (await post(`${fake.url}/api/generate`, { model: 'm', prompt: 'x' })).text();
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).response)
        .join(''),
    ).toBe(' one two three four');
  });

  it.each([
    ['failAfterTokens', 2, /"two".*\n\{"error":"an error was encountered while running the model: unexpected EOF"\}\n$/s],
    ['silentEndAfterTokens', 2, /"two","done":false\}\n$/s],
  ] as const)('can break: %s, once, then work again', async (fault, after, shape) => {
    writeModel(store, 'm', { text: 'one two three four' });
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await fake.fault({ [fault]: after, times: 1 });
    const ask = async () => (await post(`${fake.url}/api/generate`, { model: 'm', prompt: 'x' })).text();
    expect((await ask()).replaceAll('" ', '"')).toMatch(shape);
    expect(await ask()).toContain('"done":true');
  });
});

describe('the start-up prune', () => {
  const orphan = `sha256-${'a'.repeat(64)}`;
  it.each([
    ['takes old blobs that no manifest names', 2 * 3600, false, false],
    ['spares young ones', 10, false, true],
    ['does nothing while a manifest is corrupt', 2 * 3600, true, true],
  ] as const)('%s', async (_what, ageS, corrupt, stays) => {
    const model = writeModel(store, 'tiny');
    writeFileSync(join(store, 'blobs', orphan), 'x');
    const then = Date.now() / 1000 - ageS;
    for (const blob of [orphan, `sha256-${model.blobs[0]?.digest}`]) utimesSync(join(store, 'blobs', blob), then, then);
    if (corrupt) writeFileSync(writeModel(store, 'bad').file, '');
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await fetch(fake.url);
    expect(existsSync(join(store, 'blobs', orphan))).toBe(stays);
    expect(existsSync(join(store, 'blobs', `sha256-${model.blobs[0]?.digest}`))).toBe(true);
  });
});

describe('the registry', () => {
  it('makes the same model from the same seed, in the shape of minicpm-v', () => {
    const wish = { dir: store, name: 'minicpm-v', sizeBytes: 2_000_000, seed: 9, projector: true, blobs: 4 };
    const first = generateModel(wish);
    expect(generateModel(wish).manifestDigest).toBe(first.manifestDigest);
    const kinds = first.blobs.map((blob) => blob.mediaType.replace(/^application\/vnd\.(ollama|docker\.container)\.image\./, ''));
    expect(kinds).toEqual(['model', 'projector', 'embed', 'embed', 'template', 'license', 'params', 'v1+json']);
    expect(first.blobs.slice(0, 4).reduce((sum, blob) => sum + blob.sizeBytes, 0)).toBe(2_000_000);
    expect(first.blobs.find((blob) => blob.mediaType.endsWith('template'))?.sizeBytes).toBe(506);
  });

  it('runs as a program, and a fake pulls a vision model from it and sees images', async () => {
    const child = execFile(process.execPath, [
      join(HERE, 'registry.ts'),
      '--dir',
      join(store, 'r'),
      '--host',
      '127.0.0.1',
      '--port',
      '0',
      '--model',
      'v,bytes=300000',
    ]);
    ends.push(() => void child.kill());
    const line = await new Promise<string>((settle) => child.stdout?.on('data', settle));
    const port = /port (\d+)/.exec(line)?.[1];
    const fake = await startFakeOllama({ store: join(store, 'n'), tokenMs: 0 });
    ends.push(() => fake.close());
    const model = `127.0.0.1:${port}/library/v`;
    expect(await (await post(`${fake.url}/api/pull`, { model, insecure: true, stream: false })).json()).toEqual({ status: 'success' });
    const picture = Buffer.from('\x89PNG....', 'latin1').toString('base64');
    const reply = await post(`${fake.url}/api/chat`, {
      model,
      stream: false,
      messages: [{ role: 'user', content: 'what?', images: [picture] }],
    });
    expect(((await reply.json()) as { done_reason: string }).done_reason).toBe('stop');
  });

  it('limits its rate', async () => {
    const model = generateModel({ dir: store, name: 'm', sizeBytes: 1_000_000, seed: 1, projector: false });
    const registry = await startRegistry({ dir: store, bytesPerSecond: 4_000_000 });
    ends.push(() => registry.close());
    const startedAt = performance.now();
    const reply = await fetch(`http://${registry.host}/data/library/m/blobs/sha256:${model.blobs[0]?.digest}`);
    expect((await reply.arrayBuffer()).byteLength).toBe(1_000_000);
    expect(performance.now() - startedAt).toBeGreaterThan(200);
  });
});
