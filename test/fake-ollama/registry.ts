// A small registry-v2 server over http: it serves a store directory, and answers every blob GET with a 307 to another host name,
// without which Ollama does not pull. As a program: node registry.ts --dir DIR [--host H] [--port N] [--redirect-host NAME]
// [--bytes-per-second N] [--model NAME[,bytes=N][,seed=S][,blobs=N][,text]]...
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Transform, type Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseName, pathOf } from './names.ts';
import { type WrittenModel, writeModel } from './store.ts';

/** A model to make: its name is what the registry serves, without a host. */
export type GeneratedModel = {
  /** Directory that the registry serves. */
  readonly dir: string;
  readonly name: string;
  /** Sum of the large blobs. */
  readonly sizeBytes: number;
  readonly seed: number | string;
  /** Number of large blobs: weights, projector, then layers that Ollama ignores. Default 2 with a projector, else 1. */
  readonly blobs?: number;
  /** A vision model in the shape of minicpm-v: four fifths weights, one fifth projector. */
  readonly projector: boolean;
};

/** Makes a model of pseudo-random blobs; the same arguments give the same digests. Blocks: about 0.4 s for 200 MB. */
export function generateModel(wish: GeneratedModel): WrittenModel {
  const least = wish.projector ? 2 : 1;
  const extra = Math.max(0, (wish.blobs ?? least) - least);
  const share = Math.floor(wish.sizeBytes / (extra + (wish.projector ? 5 : 1)));
  const projectorBytes = wish.projector ? share : 0;
  return writeModel(wish.dir, wish.name, {
    seed: wish.seed,
    weightsBytes: wish.sizeBytes - projectorBytes - extra * share,
    projectorBytes,
    extraBytes: Array.from({ length: extra }, () => share),
    template: '{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n'.padEnd(506),
    licenses: ['Free to use. '.repeat(874).slice(0, 11_365)],
    params: '{"stop":["\\u003c|im_start|\\u003e","\\u003c|im_end|\\u003e"]}\n',
    config: {
      model_family: 'qwen2',
      model_families: wish.projector ? ['qwen2', 'clip'] : ['qwen2'],
      model_type: '7.6B',
      file_type: 'Q4_0',
    },
    trailingNewline: false,
  });
}

/** How the registry serves. */
export type RegistryOptions = {
  readonly dir: string;
  readonly host?: string;
  /** 0 = any free port. */
  readonly port?: number;
  /** Host name in the redirect; must differ from the one that clients use. */
  readonly redirectHost?: string;
  /** For each connection; 0 = no limit. */
  readonly bytesPerSecond?: number;
};

/** A running registry. `corrupt` flips one byte of every answer to a GET of that blob. */
export interface Registry {
  readonly port: number;
  /** What to put before `/library/NAME:TAG` in a pull. */
  readonly host: string;
  corrupt(digests: readonly string[]): void;
  close(): void;
}

/** Starts a registry. */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  let bad: readonly string[] = [];
  const server = createServer((req, res) =>
    answer(req, res, { ...options, redirectHost: options.redirectHost ?? 'localhost', bad: () => bad }),
  );
  await new Promise<void>((settle, fail) => {
    server.once('error', fail);
    server.listen({ host: options.host ?? '127.0.0.1', port: options.port ?? 0 }, settle);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    host: `${options.host ?? '127.0.0.1'}:${port}`,
    corrupt(digests) {
      bad = digests;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

type Serving = RegistryOptions & { readonly redirectHost: string; readonly bad: () => readonly string[] };

function answer(req: IncomingMessage, res: ServerResponse, to: Serving): void {
  const match = /^\/(v2|data)\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(req.url ?? '');
  const [, area = '', repository = '', kind = '', reference = ''] = match ?? [];
  const name = parseName(`${repository}:${kind === 'manifests' ? reference : 'latest'}`);
  if (match === null || name === null) {
    notFound(res);
    return;
  }
  if (kind === 'manifests') {
    sendManifest(res, join(to.dir, 'manifests', pathOf(name)));
    return;
  }
  if (!/^sha256:[0-9a-f]{64}$/.test(reference)) {
    notFound(res);
    return;
  }
  const file = join(to.dir, 'blobs', reference.replace(':', '-'));
  if (!existsSync(file)) {
    notFound(res);
    return;
  }
  if (req.method === 'HEAD') return void res.writeHead(200, { 'Content-Length': statSync(file).size }).end();
  if (area === 'data') {
    sendBlob(req, res, file, to, to.bad().includes(reference));
    return;
  }
  const port = (req.headers.host ?? '').split(':')[1] ?? '80';
  res.writeHead(307, { Location: `http://${to.redirectHost}:${port}/data/${repository}/blobs/${reference}`, 'Content-Length': 0 }).end();
}

function notFound(res: ServerResponse): void {
  res.writeHead(404, { 'Content-Type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not known here"}]}');
}

function sendManifest(res: ServerResponse, file: string): void {
  if (!existsSync(file)) {
    notFound(res);
    return;
  }
  res.writeHead(200, { 'Content-Type': 'application/vnd.docker.distribution.manifest.v2+json' }).end(readFileSync(file));
}

function sendBlob(req: IncomingMessage, res: ServerResponse, file: string, to: Serving, corrupt: boolean): void {
  const size = statSync(file).size;
  const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? '');
  const start = range === null ? 0 : Number(range[1]);
  const end = range === null ? size - 1 : Math.min(Number(range[2]), size - 1);
  const headers = { 'Content-Length': end - start + 1, 'Content-Type': 'application/octet-stream' };
  res.writeHead(range === null ? 200 : 206, range === null ? headers : { ...headers, 'Content-Range': `bytes ${start}-${end}/${size}` });
  const source = createReadStream(file, { start, end, highWaterMark: 256 * 1024 });
  const through: readonly Transform[] = [
    ...(corrupt ? [flipping()] : []),
    ...((to.bytesPerSecond ?? 0) > 0 ? [limiting(to.bytesPerSecond ?? 0)] : []),
  ];
  res.on('close', () => source.destroy());
  through.reduce<NodeJS.ReadableStream>((from, next) => from.pipe(next), source).pipe(res satisfies Writable);
}

function flipping(): Transform {
  let done = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      const bytes = done ? chunk : Buffer.from(chunk);
      if (!done && bytes[0] !== undefined) bytes[0] ^= 0xff;
      done = true;
      next(null, bytes);
    },
  });
}

function limiting(bytesPerSecond: number): Transform {
  const start = performance.now();
  let sent = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      sent += chunk.length;
      const waitMs = (sent / bytesPerSecond) * 1000 - (performance.now() - start);
      void pause(Math.max(0, waitMs)).then(() => next(null, chunk));
    },
  });
}

/** `NAME,bytes=N,seed=S,blobs=N,text` as a wish. */
function modelOf(dir: string, text: string): GeneratedModel {
  const [name = '', ...rest] = text.split(',');
  const fields = new Map(rest.map((part) => [part.split('=')[0] ?? '', part.split('=')[1] ?? '']));
  const blobs = fields.get('blobs');
  return {
    dir,
    name,
    sizeBytes: Number(fields.get('bytes') ?? 200_000_000),
    seed: fields.get('seed') ?? name,
    projector: !fields.has('text'),
    ...(blobs === undefined ? {} : { blobs: Number(blobs) }),
  };
}

if (import.meta.main) {
  const text = { type: 'string' } as const;
  const options = {
    dir: text,
    host: text,
    port: text,
    'redirect-host': text,
    'bytes-per-second': text,
    model: { type: 'string', multiple: true },
  } as const;
  const { values } = parseArgs({ options });
  const dir = values.dir ?? '';
  if (dir === '') throw new Error('--dir is needed: the directory whose models are served');
  for (const model of values.model ?? []) generateModel(modelOf(dir, model));
  const registry = await startRegistry({
    dir,
    host: values.host ?? '0.0.0.0',
    port: Number(values.port ?? 5000),
    redirectHost: values['redirect-host'] ?? 'localhost',
    bytesPerSecond: Number(values['bytes-per-second'] ?? 0),
  });
  process.stdout.write(`registry listens on port ${registry.port}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0));
}
