// A kit without the product: real keepalived under the project's own drop-in, following a track file that the test writes, and a stand-in server.
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../host.ts';
import type { HostPlan, Kit } from '../kit.ts';
import { prefixLength, projectRoot, vipAddress } from '../names.ts';

/** The stand-in kit. */
export const standinKit: Kit = {
  prepareHost: async (plan) => {
    writeFileSync(join(plan.dataDir, 'keepalived.conf'), keepalivedConf(plan), { mode: 0o644 });
    return [
      {
        name: 'web',
        files: [join(import.meta.dirname, 'standin.service')],
        log: join(plan.logDir, 'web.log'),
        environment: { NAME: plan.name, HOOK_FILE: hookFile(plan) },
        programs: { '/usr/bin/standin': [process.execPath, join(import.meta.dirname, 'main.ts')] },
      },
      {
        name: 'keepalived',
        files: ['/lib/systemd/system/keepalived.service', join(projectRoot, 'deploy/systemd/keepalived.service.d/ollama-ha.conf')],
        log: join(plan.logDir, 'keepalived.log'),
        environment: { DAEMON_ARGS: keepalivedArgs(plan), VIP_ADDRESS: vipAddress, VIP_INTERFACE: 'eth0', TMPDIR: plan.runDir },
        programs: {},
      },
    ];
  },
  boot: async (plan) => {
    mkdirSync(join(plan.runDir, 'vip'));
  },
};

/** Written by the stand-in's stop hook. */
export function hookFile(plan: HostPlan): string {
  return join(plan.dataDir, 'stop-hook-ran');
}

/** Grants or revokes the VIP, as an agent would: by rename. Waits for keepalived's start, which writes the file itself. */
export async function setLease(host: Host, held: boolean): Promise<void> {
  const file = join(host.plan.runDir, 'vip/lease');
  while (!existsSync(file)) await delay(10);
  writeFileSync(`${file}.new`, held ? '1\n' : '0\n');
  renameSync(`${file}.new`, file);
}

function keepalivedArgs(plan: HostPlan): string {
  const run = (name: string): string => join(plan.runDir, name);
  return `-n -l -D -P -f ${join(plan.dataDir, 'keepalived.conf')} -p ${run('keepalived.pid')} -r ${run('vrrp.pid')}`;
}

function keepalivedConf(plan: HostPlan): string {
  const others = plan.peers.filter((peer) => peer.address !== plan.address).map((peer) => `        ${peer.address}\n`);
  return `global_defs {
    router_id ${plan.name}
    vrrp_version 3
    vrrp_garp_master_delay 1
}
track_file lease {
    file "${plan.runDir}/vip/lease"
    weight 0 reverse
    init_file 0 overwrite
}
vrrp_instance STANDIN {
    state BACKUP
    interface eth0
    virtual_router_id 77
    priority 100
    advert_int 0.01
    down_timer_adverts 2
    unicast_src_ip ${plan.address}
    unicast_peer {
${others.join('')}    }
    track_file {
        lease
    }
    virtual_ipaddress {
        ${vipAddress}/${prefixLength} dev eth0 no_track
    }
}
`;
}
