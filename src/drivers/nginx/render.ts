// The upstream file's text.
import type { UpstreamServer } from '../../core/balance/upstream.ts';

/** One `upstream` block. `port`: Ollama's, the same on every node. */
export function upstreamText(name: string, port: number, servers: readonly UpstreamServer[]): string {
  const lines = servers.map(({ node, host, weight, backup }) => {
    const address = host.includes(':') ? `[${host}]` : host;
    const words = [`${address}:${port}`, `weight=${weight}`, 'max_fails=1', 'fail_timeout=2s', ...(backup ? ['backup'] : [])];
    return `    server ${words.join(' ')}; # ${node}\n`;
  });
  return `# Written by ollama-ha. Changes made here are overwritten.\nupstream ${name} {\n${lines.join('')}}\n`;
}
