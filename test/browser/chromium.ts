// Debian's Chromium, without a screen and without the network it would use for itself; on request inside a network namespace.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const program = '/usr/bin/chromium';
const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A desk's and a pocket's screen. */
export const desktop = { viewport: { width: 1180, height: 900 } } as const;
export const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 } as const;

/** A page, its HTTP code, and everything that went wrong in it or was asked of anybody. */
export type Watched = {
  readonly page: Page;
  readonly status: number;
  readonly faults: readonly string[];
  readonly requests: readonly string[];
};

/** A running browser. */
export type Chromium = {
  open(url: string, options: BrowserContextOptions): Promise<Watched>;
  close(): Promise<void>;
};

/** Starts it with a fresh profile; `namespace` = in this network namespace (needs root). */
export async function startChromium(namespace?: string): Promise<Chromium> {
  const directory = mkdtempSync(join(tmpdir(), 'chromium-'));
  const browser = await chromium.launch({
    executablePath: namespace === undefined ? program : wrapper(directory, namespace),
    chromiumSandbox: false,
    args: quiet,
    env: { ...process.env, XDG_CONFIG_HOME: directory, XDG_CACHE_HOME: directory },
  });
  return {
    open: (url, options) => open(browser, url, options),
    async close() {
      await browser.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function wrapper(directory: string, namespace: string): string {
  if (!/^[a-z0-9-]+$/.test(namespace)) throw new Error(`namespace ${namespace}`);
  const file = join(directory, 'chromium');
  writeFileSync(file, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}

async function open(browser: Browser, url: string, options: BrowserContextOptions): Promise<Watched> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  const requests: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('request', (request) => requests.push(request.url()));
  const answer = await page.goto(url, { waitUntil: 'load' });
  return { page, status: answer?.status() ?? 0, faults, requests };
}
