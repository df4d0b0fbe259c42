// The status page in a real browser, with names that try to become markup, and behind the token where the port is not on loopback.
// Needs Chromium, which the setup installs as root.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ModelsView, NodeRow, StatusView } from '../../../src/agent/control.ts';
import { createEvents } from '../../../src/drivers/http/events.ts';
import { type HttpAnswers, routesOf } from '../../../src/drivers/http/routes.ts';
import { type HttpServer, openHttp } from '../../../src/drivers/http/server.ts';
import { statusPage } from '../../../src/drivers/page/page.ts';
import { type Chromium, phone, startChromium } from '../../browser/chromium.ts';

const evil = '<img src=x onerror="window.caught=1"><script>window.caught=1</script>"\'>&amp;\u202e';
const token = 'sesame-sesame-16';
let browser: Chromium;

const node: NodeRow = {
  node: evil,
  address: evil,
  role: evil as 'active',
  assignedRole: evil,
  state: 'alive',
  ollama: evil,
  ollamaReason: evil,
  ollamaAgeMs: 1,
  epoch: 1,
  vip: evil,
  fence: evil,
  seenMs: 1,
  modelsComplete: 1,
  modelsTotal: 2,
  bytesBehind: 5,
  hot: 0,
  hotWanted: 1,
  tags: [evil],
  vetoes: [evil],
  rank: 1,
  rttMs: 1,
  version: evil,
  ollamaVersion: evil,
  backoffMs: 0,
  ollamaKind: evil,
  loaded: [evil],
};
const redis = { server: evil, runId: evil, up: false, latencyMs: 1, lastError: evil, lastReplyAgeMs: 1, latencyP50Ms: 1, latencyP99Ms: 1 };
const status: StatusView = {
  cluster: evil,
  asked: evil,
  viewAgeMs: 1,
  epoch: 1,
  holder: `holder ${evil}`,
  leaseAgeMs: 1,
  leaseLeftMs: 1,
  preset: evil,
  ttlMs: 2000,
  renewMs: 400,
  pollMs: 150,
  lockDelayMs: 0,
  lockDelayWhy: evil,
  vip: evil,
  vipOwner: evil,
  vipOwnerMac: evil,
  vipOwnerAgeMs: 1,
  mode: evil as 'normal',
  reason: evil,
  nodes: [node],
  warnings: [evil],
  redis: [redis],
  splitBrain: false,
  version: evil,
  pausedBy: evil,
  planned: { to: evil, atMs: 1, by: evil },
  roster: [evil],
  rosterVersion: 1,
  settingsVersion: 1,
  keepalived: null,
  loopLateP99Ms: -1,
  health: [{ level: evil, state: evil, text: evil, ageMs: 1 }],
  hotMissing: [evil],
  wallMs: 1_795_548_765_000,
};
const models: ModelsView = {
  nodes: [evil],
  models: [
    {
      name: evil,
      sizeBytes: 7_600_000_000,
      cells: [{ node: evil, state: evil as 'partial', bytesBehind: 1, hot: true, manifestDigest: evil }],
    },
  ],
};
const pageData = {
  nowMs: 10_000,
  models,
  history: [{ epoch: 1, from: evil, to: `to ${evil}`, cause: evil, reason: evil, by: evil, atMs: 5000, phasesMs: { [evil]: 3 } }],
  transfers: [{ model: evil, from: evil, doneBytes: 1, totalBytes: 2, bytesPerSecond: 1, phase: evil, note: evil, etaMs: 1 }],
};

async function serve(listen: string): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const answer = { status: async () => status, page: statusPage(), pageData: async () => pageData };
  const events = createEvents(answer);
  const server: HttpServer = await openHttp({
    listen,
    token,
    routes: routesOf(answer as unknown as HttpAnswers, events),
    names: [],
    log: () => undefined,
  });
  return {
    url: `http://127.0.0.1:${server.port()}/ui`,
    async close() {
      events.close();
      await server.close();
    },
  };
}

beforeAll(async () => {
  browser = await startChromium();
});
afterAll(() => browser?.close());

test('whatever a name holds is shown as text, in every place, and nothing of it runs or is fetched', async () => {
  const { url, close } = await serve('127.0.0.1:0');
  const { page, faults, requests } = await browser.open(url, phone);
  await expect.poll(() => page.locator('#holder').textContent()).toBe(`holder ${evil}`);
  await expect.poll(() => page.locator('#history').textContent()).toContain(`${evil} \u2192 to ${evil}`);
  const places = ['cluster', 'owner', 'planned', 'mode', 'warnings', 'nodes', 'transfers', 'models', 'health', 'redis', 'strip', 'foot'];
  for (const id of places) expect(await page.locator(`#${id}`).textContent(), id).toContain(evil);
  expect(await page.locator('img').count()).toBe(0);
  expect(await page.locator('script').count()).toBe(1);
  expect(await page.evaluate('window.caught')).toBe(undefined);
  // The policy does not only stand there: markup made of text is refused, and so is a foreign address.
  await expect(page.evaluate("document.body.innerHTML = '<b>x</b>'")).rejects.toThrow('TrustedHTML');
  await expect(page.evaluate("fetch('http://127.0.0.2:9/')")).rejects.toThrow('Failed to fetch');
  expect(faults.filter((fault) => !/TrustedHTML|127\.0\.0\.2/.test(fault))).toEqual([]);
  expect(requests.filter((asked) => !asked.startsWith(url.replace(/ui$/, '')) && asked !== 'data:,')).toEqual(
    requests.filter((asked) => asked.startsWith('http://127.0.0.2')),
  );
  expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(0);
  await close();
});

test('off loopback a browser asks for the token as a password, and the stream comes under it too', async () => {
  const { url, close } = await serve('0.0.0.0:0');
  const refused = await browser.open(url, { httpCredentials: { username: 'anybody', password: 'wrong' } });
  expect(refused.status).toBe(401);
  expect(await refused.page.locator('#holder').count()).toBe(0);
  const { page } = await browser.open(url, { httpCredentials: { username: 'anybody', password: token } });
  await expect.poll(() => page.locator('#holder').textContent()).toBe(`holder ${evil}`);
  await expect.poll(() => page.locator('#history').textContent()).toContain(`to ${evil}`);
  await close();
});
