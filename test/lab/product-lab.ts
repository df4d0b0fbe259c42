// A lab with the product on it: what demo, end-to-end tests and benches start from.
import { createLab, type Lab } from './lab.ts';
import { type ProductOptions, productKit } from './product.ts';
import { registryAliases } from './registry.ts';

/** Options of such a lab. */
export type ProductLabOptions = ProductOptions & { readonly id: string; readonly nodes: number };

/** Builds it; the services are started, the cluster is not yet waited for (`waitHealthy`). */
export function createProductLab({ id, nodes, ...product }: ProductLabOptions): Promise<Lab> {
  return createLab({ id, nodes, kit: productKit(product), hostAliases: registryAliases });
}

/** Commands by which a person talks to a lab that was left running. */
export function howToTalk(lab: Lab): string {
  const host = lab.hosts[0];
  if (host === undefined) return '';
  const inside = `ip netns exec ${host.namespace}`;
  const config = `${host.plan.dataDir}/etc/agent.yaml`;
  return [
    `The lab "${lab.id}" is running; its hosts are network namespaces: ${lab.hosts.map((h) => h.namespace).join(' ')}`,
    `  status      ${inside} node_modules/.bin/node src/main.ts agentctl --config ${config} status`,
    `  a shell     ${inside} bash`,
    `  as client   ip netns exec ohl-${lab.id}-client curl http://10.77.0.100:11434/api/tags`,
    `  logs        ${host.plan.logDir}/`,
    '  end it      make lab-down',
  ].join('\n');
}
