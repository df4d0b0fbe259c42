// nginx on the clients' host with three upstreams and nothing but defaults: passive checks, one failure, 10 s.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kit } from '../../lab/kit.ts';
import { createLab, type Lab } from '../../lab/lab.ts';
import { clientName, dataRoot } from '../../lab/names.ts';
import { fakeOllamaUnit } from './baseline-units.ts';
import type { Baseline } from './baselines.ts';

const kit: Kit = { prepareHost: async (plan) => [fakeOllamaUnit(plan)] };
const port = 8434;

/** Three hosts and the balancer, clients at work. */
export async function openNginx(): Promise<Baseline> {
  const lab = await createLab({ id: 'fonx', nodes: 3, kit });
  const dir = join(dataRoot, lab.id, clientName, 'nginx');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'nginx.conf'), confOf(lab, dir));
  lab.client.daemon('nginx', ['nginx', '-p', dir, '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')]);
  const prober = lab.prober({ everyMs: 5, address: '127.0.0.1', port });
  return { system: 'nginx', lab, prober, victim: lab.host('gpu1'), hasVip: false };
}

function confOf(lab: Lab, dir: string): string {
  const servers = lab.hosts.map((host) => `        server ${host.address}:11434;`).join('\n');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `    ${name}_temp_path ${dir}/${name};`).join('\n');
  return `daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
events {
    worker_connections 8192;
}
http {
    access_log off;
${temp}
    upstream ollama {
${servers}
    }
    server {
        listen 127.0.0.1:${port};
        location / {
            proxy_pass http://ollama;
        }
    }
}
`;
}
