// The read-only status page: one file with its style and program inside, and headers under which nothing else can run or be fetched.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A page as a route answers it. */
export type Page = { readonly text: string; readonly headers: Readonly<Record<string, string>> };

/** The page at `/ui`. It reads `/events` and `/ui/data` of the same address, and no other. */
export function statusPage(): Page {
  const text = readFileSync(new URL('./ui.html', import.meta.url), 'utf8');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(text, 'script')}`,
    `style-src ${hashOf(text, 'style')}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Text that came from elsewhere cannot become markup: the browser refuses innerHTML and its like.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return {
    text,
    headers: {
      'content-security-policy': policy.join('; '),
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'cross-origin-resource-policy': 'same-origin',
    },
  };
}

/** What the browser compares the one inline element of this name with. */
function hashOf(text: string, element: 'script' | 'style'): string {
  const inside = new RegExp(`<${element}>([^]*?)</${element}>`).exec(text)?.[1];
  if (inside === undefined) throw new Error(`ui.html has no <${element}>`);
  return `'sha256-${createHash('sha256').update(inside).digest('base64')}'`;
}
