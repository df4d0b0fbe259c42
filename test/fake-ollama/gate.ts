// Who may ask: CORS by Origin first, then the Host check of a loopback listener.
import type { IncomingMessage } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';

/** Headers of a reply. */
type Headers = readonly (readonly [string, string])[];

/** What CORS says: `extra` headers for an allowed Origin, or a refusal. */
export function originGate(req: IncomingMessage): { readonly extra: Headers } | 'refused' {
  const origin = req.headers.origin;
  if (origin === undefined || sameOrigin(origin, req.headers.host ?? '')) return { extra: [] };
  if (!isAllowedOrigin(origin)) return 'refused';
  return {
    extra: [
      ['Access-Control-Allow-Origin', origin],
      ['Vary', 'Origin'],
    ],
  };
}

/** The headers of a preflight answer; `allow` is the method of the route. */
export function preflight(extra: Headers, allow: string): Headers {
  const origin = extra.filter(([name]) => name === 'Access-Control-Allow-Origin');
  const stainless = [
    'Arch',
    'Async',
    'Custom-Poll-Interval',
    'Helper-Method',
    'Lang',
    'Os',
    'Package-Version',
    'Poll-Helper',
    'Retry-Count',
  ];
  const names = [...stainless, 'Runtime', 'Runtime-Version', 'Timeout'].map((name) => `X-Stainless-${name}`);
  return [
    ['Access-Control-Allow-Headers', ['Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta', ...names].join(',')],
    ['Access-Control-Allow-Methods', 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'],
    ...origin,
    ['Access-Control-Max-Age', '43200'],
    ['Allow', allow],
    ['Vary', 'Origin'],
    ['Vary', 'Access-Control-Request-Method'],
    ['Vary', 'Access-Control-Request-Headers'],
  ];
}

/** Whether a listener on loopback serves this Host header. */
export function isAllowedHost(header: string): boolean {
  const host = header
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  if (host === '' || host === 'localhost' || host === hostname().toLowerCase()) return true;
  if (isIPv4(host) || isIPv6(host)) return isNear(host);
  return /\.(localhost|local|internal)$/.test(host);
}

function sameOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}

function isAllowedOrigin(origin: string): boolean {
  if (/^(app|file|tauri|vscode-webview|vscode-file):\/\//.test(origin)) return true;
  return /^https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?$/.test(origin);
}

function isNear(ip: string): boolean {
  if (/^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|0\.0\.0\.0$)/.test(ip) || /^(::1?$|f[cd])/.test(ip)) return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((address) => address.address === ip));
}
