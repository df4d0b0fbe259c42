import { afterAll, beforeAll, describe, it } from 'vitest';
import { REPLAYED } from './list.ts';
import { recordedStore, type World, world } from './world.ts';

// One server for all: what a reply needs of the state is only that the store is the recorded one.
describe('the fake answers as the recorded server', () => {
  let shared: World;
  beforeAll(async () => {
    shared = await world(recordedStore());
  });
  afterAll(() => shared[Symbol.asyncDispose]());

  it.each(REPLAYED)('%s', async (name) => {
    // The body of this one was too large for the recording; the server does not read it.
    await shared.replays(name, name === 'blob-post-present' ? { body: 'anything' } : {});
  });
});
