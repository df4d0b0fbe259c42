// What the status page may do, by its text and its headers; a browser shows the rest (page.root.test.ts).
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { statusPage } from '../../../src/drivers/page/page.ts';

const { text, headers } = statusPage();
const policy = headers['content-security-policy'] ?? '';

test('only its own script and style run, by their hashes, and it speaks to its own address alone', () => {
  for (const element of ['script', 'style']) {
    const inside = text.split(`<${element}>`)[1]?.split(`</${element}>`)[0] ?? '';
    expect(inside.length).toBeGreaterThan(1000);
    expect(policy).toContain(`${element}-src 'sha256-${createHash('sha256').update(inside).digest('base64')}'`);
  }
  expect(policy).toMatch(/^default-src 'none'; /);
  expect(policy).toContain("connect-src 'self'");
  expect(policy).not.toMatch(/unsafe|\*|https?:/);
  expect(headers).toMatchObject({ 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
});

test('its text names no other address, and nothing that makes markup of text', () => {
  expect(text).not.toMatch(/https?:|\/\/[a-z]|@import|url\(/i);
  expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|setAttribute|\son[a-z]+=/);
  expect(text.length).toBeLessThan(20_000);
});
