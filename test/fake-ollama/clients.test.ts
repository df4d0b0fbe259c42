// The official clients do their ordinary calls against the fake.
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { expect, it } from 'vitest';
import { type Scene, scene, until } from './scene.ts';

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const SAYS = 'one two three four';

async function served(): Promise<Scene> {
  const it = await scene();
  it.model('m', { text: SAYS, template: '{{ .Tools }}{{ .Prompt }}', projectorBytes: 10_000 });
  it.model('e', { gguf: { 'llama.pooling_type': 1 } });
  it.model('endless', { text: SAYS, loopFrom: 0 });
  return it;
}

it('the client of Ollama: list, show, generate, chat, streams, an image, tools, embeddings, copy, delete, ps', async () => {
  await using it = await served();
  const ollama = new Ollama({ host: it.fake.url });
  expect((await ollama.list()).models.map((model) => model.name).sort()).toEqual(['e:latest', 'endless:latest', 'm:latest']);
  expect((await ollama.show({ model: 'm' })).capabilities).toContain('vision');
  expect((await ollama.generate({ model: 'm', prompt: 'x' })).response).toBe(` ${SAYS}`);
  let streamed = '';
  for await (const part of await ollama.generate({ model: 'm', prompt: 'x', stream: true })) streamed += part.response;
  expect(streamed).toBe(` ${SAYS}`);
  const seen = await ollama.chat({ model: 'm', messages: [{ role: 'user', content: 'what?', images: [PIXEL] }] });
  expect(seen.message.content).toBe(` ${SAYS}`);
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', required: ['a'], properties: {} } } };
  const called = await ollama.chat({ model: 'm', messages: [{ role: 'user', content: 'x' }], tools: [tool] });
  expect(called.message.tool_calls?.[0]?.function).toMatchObject({ name: 'f', arguments: { a: 'example' } });
  expect((await ollama.embed({ model: 'e', input: ['a', 'b'] })).embeddings.map((vector) => vector.length)).toEqual([64, 64]);
  await ollama.copy({ source: 'm', destination: 'copy' });
  await ollama.delete({ model: 'copy' });
  await expect(ollama.show({ model: 'copy' })).rejects.toThrow("model 'copy:latest' not found");
  expect((await ollama.ps()).models.map((model) => model.name)).toContain('m:latest');
});

it('the client of Ollama: an abort frees the slot, and a crash in a stream is an error', async () => {
  await using it = await served();
  const ollama = new Ollama({ host: it.fake.url });
  const stream = await ollama.generate({ model: 'endless', prompt: 'x', stream: true });
  const read = async () => {
    for await (const part of stream) if (part.response !== '') ollama.abort();
  };
  await expect(read()).rejects.toThrow('abort');
  await until(() => it.fake.runners()[0]?.refs === 0);
  await it.order('/fault', { crashAfterTokens: 2, times: 1 });
  const crash = async () => {
    for await (const part of await ollama.chat({ model: 'm', messages: [{ role: 'user', content: 'x' }], stream: true })) void part;
  };
  await expect(crash()).rejects.toThrow('an error was encountered while running the model: unexpected EOF');
});

it('the client of OpenAI: models, chat, streams with usage, an image, tools, completions, embeddings, an abort, an error', async () => {
  await using it = await served();
  const openai = new OpenAI({ baseURL: `${it.fake.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'x' }];
  expect((await openai.models.list()).data.map((model) => model.id)).toContain('m:latest');
  const told = await openai.chat.completions.create({ model: 'm', messages });
  expect([told.choices[0]?.message.content, told.choices[0]?.finish_reason]).toEqual([` ${SAYS}`, 'stop']);
  let streamed = '';
  let used = 0;
  const options = { stream: true, stream_options: { include_usage: true } } as const;
  for await (const part of await openai.chat.completions.create({ model: 'm', messages, ...options })) {
    streamed += part.choices[0]?.delta.content ?? '';
    used = part.usage?.completion_tokens ?? used;
  }
  expect([streamed, used]).toEqual([` ${SAYS}`, 5]);
  const image = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${PIXEL}` } };
  const picture = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'what?' }, image] }];
  expect((await openai.chat.completions.create({ model: 'm', messages: picture })).choices[0]?.message.content).toBe(` ${SAYS}`);
  const tools = [{ type: 'function' as const, function: { name: 'f', parameters: { type: 'object', required: ['a'] } } }];
  const called = await openai.chat.completions.create({ model: 'm', messages, tools });
  expect(called.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { tool_calls: [{ function: { name: 'f' } }] } });
  expect((await openai.completions.create({ model: 'm', prompt: 'x' })).choices[0]?.text).toBe(` ${SAYS}`);
  expect((await openai.embeddings.create({ model: 'e', input: 'a' })).data[0]?.embedding).toHaveLength(64);
  const endless = await openai.chat.completions.create({ model: 'endless', messages, stream: true });
  for await (const part of endless) if (part.choices[0]?.delta.content !== '') endless.controller.abort();
  await until(() => it.fake.runners().every((runner) => runner.refs === 0));
  await expect(openai.chat.completions.create({ model: 'nosuch', messages })).rejects.toThrow("404 model 'nosuch' not found");
});
