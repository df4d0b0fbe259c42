// The order of writes, and what becomes of it when something fails on the way.
import { afterEach, expect, test } from 'vitest';
import { openRecorder, type Recorder } from './recorder.ts';

let world: Recorder;
afterEach(() => world.close());

/** A node that is off, proven and quiet. */
async function off(options: Parameters<typeof openRecorder>[0] = {}): Promise<void> {
  world = openRecorder(options);
  await world.fact('fence');
  world.apply({ on: false, epoch: 0 });
  await world.fact('ended');
  world.taken();
}

async function held(epoch = 5, enforceAt = 3000): Promise<void> {
  await off();
  world.apply({ on: true, epoch, enforceAt });
  await world.fact('granted');
  world.taken();
}

test('a grant opens the fence, writes deadline, epoch and lease, and puts the address on ahead of keepalived', async () => {
  await off();
  world.apply({ on: true, epoch: 253, enforceAt: 3000 });
  const granted = await world.fact('granted');
  expect(world.taken()).toEqual(['wire off', 'open 3000', 'deadline 3000', 'epoch 253', 'lease 1', 'place']);
  expect(granted.epoch).toBe(253);
  expect(Object.keys(granted.phasesMs)).toEqual(['fence', 'deadline', 'epoch', 'lease', 'place', 'link', 'address']);
});

test('a renewal writes the same in the same order, and reports nothing', async () => {
  await held();
  world.apply({ on: true, epoch: 5, enforceAt: 3400 });
  await world.settle();
  expect(world.taken()).toEqual(['open 3400', 'deadline 3400', 'epoch 5', 'lease 1']);
  expect(world.facts.filter((fact) => fact.k !== 'address')).toEqual([]);
});

test('an unchanged want costs nothing', async () => {
  await held();
  for (let i = 0; i < 10; i++) world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.settle();
  expect(world.taken()).toEqual([]);
});

test('a revocation resets connections first, and reports the end only after everything was seen off', async () => {
  await held();
  world.apply({ on: false, epoch: 5 });
  const ended = await world.fact('ended');
  expect(world.taken()).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
  expect(ended.epoch).toBe(5);
  expect(Object.keys(ended.phasesMs)).toEqual(['sockets', 'lease', 'fence', 'off']);
});

test('driver address puts the address on last and takes it off before the fence closes', async () => {
  await off({ driver: 'address' });
  world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.fact('granted');
  world.apply({ on: false, epoch: 5 });
  await world.fact('ended');
  expect(world.taken()).toEqual(['wire off', 'open 3000', 'link-on 3000', 'sockets', 'link-off', 'close', 'wire on']);
});

test('at start a stale address is taken down before anything is reported, unless the lease is held on', async () => {
  world = openRecorder({ present: true });
  await world.fact('fence');
  expect(world.taken()).toEqual([]);
  world.apply({ on: false, epoch: 4 });
  expect((await world.fact('ended')).epoch).toBe(4);
  expect(world.taken()).toEqual(['lease 0', 'drop', 'close', 'sockets', 'wire on']);
});

test('a restarted process that still holds the lease goes on without a gap', async () => {
  world = openRecorder({ present: true });
  await world.fact('fence');
  world.apply({ on: true, epoch: 4, enforceAt: 3000 });
  await world.fact('granted');
  expect(world.taken()).toEqual(['wire off', 'open 3000', 'deadline 3000', 'epoch 4', 'lease 1']);
});

test('a want whose time has passed never touches the fence', async () => {
  await off();
  world.clock.ms = 3000;
  world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.settle();
  expect(world.taken()).toEqual([]);
});

test('a process that stood still within a renewal goes off instead of on', async () => {
  await held();
  const { acts, clock } = world;
  const push = acts.push.bind(acts);
  acts.push = (...items) => {
    if (items[0] === 'open 3400') clock.ms = 3500;
    return push(...items);
  };
  world.apply({ on: true, epoch: 5, enforceAt: 3400 });
  await world.settle();
  expect(world.taken()).toEqual(['open 3400', 'lease 0', 'drop', 'close', 'sockets', 'wire on']);
});

test('a renewal that has become late is dropped for the newer one that waits', async () => {
  await held();
  const { acts, clock } = world;
  const push = acts.push.bind(acts);
  acts.push = (...items) => {
    if (items[0] === 'open 3400') {
      clock.ms = 3500;
      world.apply({ on: true, epoch: 5, enforceAt: 9000 });
    }
    return push(...items);
  };
  world.apply({ on: true, epoch: 5, enforceAt: 3400 });
  await world.settle();
  expect(world.taken()).toEqual(['open 3400', 'open 9000', 'deadline 9000', 'epoch 5', 'lease 1']);
});

test('without a renewal the address goes shortly before its time, and comes back with the next one', async () => {
  await held(5, 1040);
  world.clock.ms = 1020;
  await expect.poll(() => world.acts.at(-1)).toBe('wire on');
  expect(world.taken()).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
  expect(world.facts.some((fact) => fact.k === 'ended')).toBe(false);
  world.apply({ on: true, epoch: 5, enforceAt: 4000 });
  await world.fact('granted');
  expect(world.taken()).toEqual(['wire off', 'open 4000', 'deadline 4000', 'epoch 5', 'lease 1', 'place']);
});

test.each(['open', 'deadline', 'epoch', 'lease'])(
  'a renewal whose step "%s" fails revokes, reports no fence, and bars the epoch',
  async (step) => {
    await held();
    world.breaks.add(step);
    world.apply({ on: true, epoch: 5, enforceAt: 3400 });
    expect((await world.fact('fence')).kind).toBe('none');
    await world.settle();
    const acts = world.taken();
    expect(acts).toContain('sockets');
    expect(acts).toContain('close');
    world.breaks.clear();
    world.apply({ on: true, epoch: 5, enforceAt: 3800 });
    await world.settle();
    expect(world.taken().filter((act) => act.startsWith('open'))).toEqual([]);
    world.apply({ on: false, epoch: 5 });
    await world.fact('ended');
  },
);

test('a fence that vanishes while held takes the address down', async () => {
  await held();
  world.breaks.add('check').add('prove');
  expect((await world.fact('fence')).kind).toBe('none');
  await world.settle();
  expect(world.taken()).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
});

test('an address that never appears ends the claim', async () => {
  await off();
  world.stuck = true;
  world.apply({ on: true, epoch: 5, enforceAt: 9000 });
  await world.settle();
  world.clock.ms += 200;
  expect((await world.fact('fence')).kind).toBe('none');
  expect(world.facts.some((fact) => fact.k === 'granted')).toBe(false);
});

test('an address that does not go is removed without keepalived; until then nothing is reported', async () => {
  await held();
  world.stuck = true;
  world.breaks.add('link-off');
  world.apply({ on: false, epoch: 5 });
  await world.settle();
  expect(world.facts.some((fact) => fact.k === 'ended')).toBe(false);
  world.breaks.clear();
  await world.fact('ended');
  expect(world.acts).toContain('link-off');
});

test('an open fence that does not close is no end either', async () => {
  await held();
  world.breaks.add('close');
  world.apply({ on: false, epoch: 5 });
  await world.settle();
  expect(world.facts.some((fact) => fact.k === 'ended')).toBe(false);
  world.breaks.clear();
  await world.fact('ended');
});

test('an address removed by somebody else is put back at once, and keepalived is told again', async () => {
  await held();
  world.setPresent(false);
  await world.settle();
  expect(world.taken()).toEqual(['open 3000', 'deadline 3000', 'epoch 5', 'lease 1', 'place']);
});

test('an address that keepalived gave up to a newer epoch is not put on against its word: keepalived goes through FAULT', async () => {
  await held();
  world.overruled = true;
  world.setPresent(false);
  await world.settle();
  expect(world.taken()).toEqual(['lease 0', 'open 3000', 'deadline 3000', 'epoch 5', 'lease 1']);
});

test('without a proven fence the address is left to keepalived alone', async () => {
  await off({ fence: 'preferred' });
  world.breaks.add('prove');
  world.breaks.add('check');
  await expect.poll(() => world.facts.some((fact) => fact.k === 'fence' && fact.kind === 'script')).toBe(true);
  world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.fact('granted');
  expect(world.taken()).not.toContain('place');
});

test('an address that keepalived does not come to stand behind is given up', async () => {
  await off();
  world.judge = 'BACKUP';
  world.apply({ on: true, epoch: 5, enforceAt: 9000 });
  await world.fact('granted');
  world.clock.ms += 300;
  world.judge = 'BACKUP';
  await world.settle();
  expect(world.taken().slice(-5)).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
  expect(world.facts.some((fact) => fact.k === 'fence' && fact.kind === 'none')).toBe(true);
});

test('a stray address on a standby is taken off', async () => {
  await off();
  world.setPresent(true);
  await expect.poll(() => world.acts.slice(-5)).toEqual(['lease 0', 'drop', 'close', 'sockets', 'wire on']);
});

test('an end is reported again for every new "off", and once for each', async () => {
  await held();
  world.apply({ on: false, epoch: 5 });
  await world.fact('ended');
  world.apply({ on: true, epoch: 5, enforceAt: 3400 });
  world.apply({ on: false, epoch: 5 });
  await world.fact('ended');
  world.apply({ on: false, epoch: 5 });
  await world.settle();
  expect(world.facts.some((fact) => fact.k === 'ended')).toBe(false);
});

test('without keepalived the node is not fit, and becomes fit when it appears', async () => {
  world = openRecorder();
  world.breaks.add('keepalived');
  expect((await world.fact('fence')).kind).toBe('none');
  world.breaks.clear();
  expect((await world.fact('fence')).kind).toBe('nft');
});

/** A held claim on a node without a kernel fence. */
async function heldWithout(options: Parameters<typeof openRecorder>[0], broken: readonly string[] = []): Promise<void> {
  world = openRecorder({ fence: 'preferred', ...options });
  world.breaks.add('prove');
  for (const name of broken) world.breaks.add(name);
  await world.fact('fence');
  world.apply({ on: false, epoch: 0 });
  await world.fact('ended');
  world.taken();
  world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.fact('granted');
}

test('without a fence the lifetime of the address is what ends it: set before the grant is told, moved on by every renewal', async () => {
  await heldWithout({ lifetimes: true });
  expect(world.taken()).toEqual(['wire off', 'open 3000', 'deadline 3000', 'epoch 5', 'lease 1', 'limit 3000', 'limit 3000']);
  world.apply({ on: true, epoch: 5, enforceAt: 3400 });
  await world.settle();
  expect(world.taken()).toEqual(['open 3400', 'deadline 3400', 'epoch 5', 'lease 1', 'limit 3400']);
  world.clock.ms = 2500;
  world.breaks.add('limit');
  world.apply({ on: true, epoch: 5, enforceAt: 3800 });
  expect((await world.fact('fence')).kind).toBe('none');
  await world.settle();
  expect(world.taken().slice(-5)).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
});

test('with too little time for a lifetime nothing is granted before the next renewal', async () => {
  world = openRecorder({ fence: 'preferred', lifetimes: true });
  world.breaks.add('prove');
  await world.fact('fence');
  world.apply({ on: true, epoch: 5, enforceAt: 2100 });
  await world.settle();
  expect(world.taken()).toEqual([]);
  world.apply({ on: true, epoch: 5, enforceAt: 3000 });
  await world.fact('granted');
});

test('driver address without a fence never sets a lifetime beyond the lease', async () => {
  await heldWithout({ driver: 'address', lifetimes: true });
  expect(world.taken()).toEqual(['wire off', 'open 3000', 'link-on 3000 sole']);
});

test.each([
  ['fence, lifetimes and script', [], 'nft'],
  ['lifetimes and script', ['prove'], 'valid_lft'],
  ['the script alone', ['prove', 'lifetimes'], 'script'],
  ['nothing', ['prove', 'lifetimes', 'script'], 'none'],
])('of %s the strongest counts', async (_name, broken, kind) => {
  world = openRecorder({ fence: 'preferred', lifetimes: true });
  for (const name of broken) world.breaks.add(name);
  expect((await world.fact('fence')).kind).toBe(kind);
});

test('a lease too short for lifetimes is left to the script', async () => {
  world = openRecorder({ fence: 'preferred', lifetimes: false });
  world.breaks.add('prove');
  expect((await world.fact('fence')).kind).toBe('script');
});

test('a claim that rests on the script ends when the script is gone', async () => {
  await heldWithout({});
  world.taken();
  world.breaks.add('script');
  expect((await world.fact('fence')).kind).toBe('none');
  await world.settle();
  expect(world.taken()).toEqual(['sockets', 'lease 0', 'drop', 'close', 'wire on']);
});

test('a keepalived that restarts costs no claim, one that stays away does', async () => {
  await heldWithout({});
  world.breaks.add('keepalived');
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(world.facts.some((fact) => fact.k === 'fence')).toBe(false);
  world.clock.ms += 1100;
  expect((await world.fact('fence')).kind).toBe('none');
});
