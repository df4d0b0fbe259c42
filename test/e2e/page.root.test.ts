// The status page in a real browser beside a real cluster: what moves there moves here, without a reload, on a desk and on a phone.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chromium, desktop, phone, startChromium, type Watched } from '../browser/chromium.ts';
import { waitHealthy, waitStatus } from '../lab/cluster.ts';
import { pullAndReplicate } from '../lab/demo-steps.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { createProductLab } from '../lab/product-lab.ts';
import { startLabRegistry } from '../lab/registry.ts';
import { silent } from '../lab/teller.ts';

const url = 'http://127.0.0.1:11443/ui';
const model = { name: 'minicpm-v', bytes: 20_000_000, blobs: 3, seed: 'page' };
// PICTURES=docs/images makes the pictures of the docs.
const scratch = mkdtempSync(join(tmpdir(), 'pictures-'));
const pictures = process.env.PICTURES ?? scratch;
let lab: Lab;
let browser: Chromium;
let watcher: Host;
let wide: Watched;
let small: Watched;

const text = (watched: Watched, id: string) => watched.page.locator(`#${id}`).textContent();
const both = () => [wide, small];

beforeAll(async () => {
  lab = await createProductLab({ id: 'page', nodes: 3, preset: 'fast' });
  const status = await waitHealthy(lab);
  await startLabRegistry(lab, [model]);
  await pullAndReplicate(lab, lab.host(status.holder), model, silent);
  // The page is asked of a node that is not going to die.
  const other = lab.hosts.find((host) => host.name !== status.holder);
  if (other === undefined) throw new Error('a standby');
  watcher = other;
  browser = await startChromium(watcher.namespace);
  wide = await browser.open(url, { ...desktop, colorScheme: 'light' });
  small = await browser.open(url, { ...phone, colorScheme: 'dark' });
  for (const { page } of both()) await page.evaluate("document.documentElement.dataset.loaded = 'once'");
});
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await browser?.close();
  await lab?.destroy();
});

test('it shows holder, address, nodes, models, health, lease servers and history', async () => {
  const status = await waitHealthy(lab);
  for (const watched of both()) {
    await expect.poll(() => text(watched, 'holder')).toBe(status.holder);
    await expect.poll(() => text(watched, 'live')).toBe('live');
    await expect.poll(() => text(watched, 'owner'), { timeout: 10_000 }).toContain(`answered by ${status.holder}`);
    expect(await text(watched, 'vip')).toBe('10.77.0.100');
    await expect.poll(() => text(watched, 'ready'), { timeout: 20_000 }).toBe('2 of 2');
    expect(await watched.page.locator('#nodes .node').count()).toBe(3);
    await expect.poll(() => text(watched, 'models')).toContain('minicpm-v');
    expect(await watched.page.locator('#models td.good').count()).toBe(3);
    expect(await watched.page.locator('#redis .good').count()).toBe(3);
    expect(await watched.page.locator('#health li').count()).toBeGreaterThan(2);
    expect(await text(watched, 'history')).toContain('first');
  }
});

test('a switchover and the death of the holder show without a reload', async () => {
  const before = await waitHealthy(lab);
  const heir = lab.hosts.find((host) => host !== watcher && host.name !== before.holder);
  if (heir === undefined) throw new Error('an heir');
  expect(await lab.host(before.holder).agentctl(['switchover', '--to', heir.name])).toMatchObject({ code: 0 });
  for (const watched of both()) {
    await expect.poll(() => text(watched, 'holder'), { timeout: 10_000 }).toBe(heir.name);
    await expect.poll(() => text(watched, 'history'), { timeout: 10_000 }).toContain(`${before.holder} \u2192 ${heir.name}`);
  }
  await waitHealthy(lab);
  await lab.killHost(heir);
  const after = await waitStatus(watcher, 'a new active', (s) => s.holder !== '' && s.holder !== heir.name);
  for (const watched of both()) {
    await expect.poll(() => text(watched, 'holder'), { timeout: 10_000 }).toBe(after.holder);
    await expect.poll(() => text(watched, 'history'), { timeout: 10_000 }).toContain(`${heir.name} \u2192 ${after.holder}`);
    expect(await watched.page.locator('#strip div').last().textContent()).toBe(after.holder);
    await expect.poll(() => watched.page.locator('.node.away').count(), { timeout: 10_000 }).toBe(1);
  }
  await lab.reviveHost(heir);
  await waitHealthy(lab);
  for (const watched of both()) {
    await expect.poll(() => watched.page.locator('.node.away').count(), { timeout: 20_000 }).toBe(0);
    expect(await watched.page.evaluate('document.documentElement.dataset.loaded')).toBe('once');
  }
});

test('nothing overflows a phone, nothing was fetched from elsewhere, nothing broke the policy; the pictures of the docs are taken', async () => {
  for (const { page, faults, requests } of both()) {
    expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(0);
    expect(faults).toEqual([]);
    expect(requests.filter((asked) => !/^(http:\/\/127\.0\.0\.1:11443\/(ui|ui\/data|events)|data:,)$/.test(asked))).toEqual([]);
  }
  const back = ({ page }: Watched) => page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(await back(wide)).not.toBe(await back(small));
  await expect.poll(() => text(wide, 'ready'), { timeout: 30_000 }).toBe('2 of 2');
  await expect.poll(() => text(wide, 'owner'), { timeout: 10_000 }).toContain('answered by');
  await wide.page.screenshot({ path: join(pictures, 'ui.png'), fullPage: true });
  await small.page.screenshot({ path: join(pictures, 'ui-phone.png') });
  for (const name of ['ui.png', 'ui-phone.png']) expect(statSync(join(pictures, name)).size).toBeLessThan(300_000);
});

test('when its agent is gone the page says that it is stale, and comes back by itself', async () => {
  await watcher.service('agent').stop();
  for (const watched of both()) await expect.poll(() => text(watched, 'live'), { timeout: 10_000 }).toContain('no connection');
  await watcher.service('agent').start();
  for (const watched of both()) await expect.poll(() => text(watched, 'live'), { timeout: 20_000 }).toBe('live');
});
