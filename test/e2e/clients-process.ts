// The official clients as a program on the client host. `calls URL`: their ordinary calls, what came of each. `steady URL MS`: streams one after the
// other with both clients for so long. Prints JSON.
import { Ollama } from 'ollama';
import OpenAI from 'openai';

/** One stream: which client, when it started and ended (monotonic ms), what it said, or the error. */
export type Stream = {
  readonly client: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly text: string;
  readonly error: string | null;
};

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const messages = [{ role: 'user' as const, content: 'x' }];
const [mode = '', url = '', ms = '0'] = process.argv.slice(2);
const ollama = new Ollama({ host: url });
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 10_000 });

async function ollamaStream(): Promise<string> {
  let text = '';
  let done = false;
  for await (const part of await ollama.chat({ model: 'm', messages, stream: true })) {
    text += part.message.content;
    done ||= part.done;
  }
  if (!done) throw new Error('the stream ended without a final response');
  return text;
}

async function openaiStream(): Promise<string> {
  let text = '';
  let done = false;
  for await (const part of await openai.chat.completions.create({ model: 'm', messages, stream: true })) {
    text += part.choices[0]?.delta.content ?? '';
    done ||= part.choices[0]?.finish_reason === 'stop';
  }
  if (!done) throw new Error('the stream ended without a final response');
  return text;
}

async function calls(): Promise<Readonly<Record<string, unknown>>> {
  const picture = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${PIXEL}` } };
  const aborted = async () => {
    const stream = await ollama.generate({ model: 'm', prompt: 'x', stream: true });
    for await (const part of stream) if (part.response !== '') stream.abort();
  };
  return {
    list: (await ollama.list()).models.map((model) => model.name),
    chat: (await ollama.chat({ model: 'm', messages })).message.content,
    stream: await ollamaStream(),
    image: (await ollama.generate({ model: 'm', prompt: 'what?', images: [PIXEL] })).response,
    abort: await aborted().then(
      () => 'none',
      (error: Error) => error.name,
    ),
    models: (await openai.models.list()).data.map((model) => model.id),
    openaiChat: (await openai.chat.completions.create({ model: 'm', messages })).choices[0]?.message.content,
    openaiStream: await openaiStream(),
    openaiImage: (await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: [picture] }] })).choices[0]
      ?.message.content,
  };
}

async function steady(client: string, speak: () => Promise<string>, endMs: number): Promise<readonly Stream[]> {
  const all: Stream[] = [];
  const now = () => Number(process.hrtime.bigint()) / 1e6;
  while (now() < endMs) {
    const startMs = now();
    const said = await speak().then(
      (text) => ({ text, error: null }),
      (error: Error) => ({ text: '', error: `${error.message}: ${error.cause instanceof Error ? error.cause.message : ''}` }),
    );
    all.push({ client, startMs, endMs: now(), ...said });
    if (said.error !== null) await new Promise((settle) => setTimeout(settle, 50));
  }
  return all;
}

if (mode === 'calls') process.stdout.write(JSON.stringify(await calls()));
else {
  const endMs = Number(process.hrtime.bigint()) / 1e6 + Number(ms);
  const both = await Promise.all([steady('ollama', ollamaStream, endMs), steady('openai', openaiStream, endMs)]);
  process.stdout.write(JSON.stringify(both.flat()));
}
