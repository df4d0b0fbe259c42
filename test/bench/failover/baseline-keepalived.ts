// keepalived alone, by the usual recipe: MASTER and BACKUP, defaults, and a curl check script every 2 s that must fail three times.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostPlan, Kit } from '../../lab/kit.ts';
import { createLab } from '../../lab/lab.ts';
import { prefixLength, vipAddress } from '../../lab/names.ts';
import { fakeOllamaUnit } from './baseline-units.ts';
import type { Baseline } from './baselines.ts';

const kit: Kit = {
  prepareHost: async (plan) => {
    const conf = join(plan.dataDir, 'keepalived.conf');
    writeFileSync(conf, confOf(plan), { mode: 0o644 });
    const run = (name: string): string => join(plan.runDir, name);
    return [
      fakeOllamaUnit(plan),
      {
        name: 'keepalived',
        files: ['/lib/systemd/system/keepalived.service'],
        log: join(plan.logDir, 'keepalived.log'),
        environment: {
          DAEMON_ARGS: `-n -l -D -P -f ${conf} -p ${run('keepalived.pid')} -r ${run('vrrp.pid')}`,
          TMPDIR: plan.runDir,
        },
        programs: {},
      },
    ];
  },
};

/** Two hosts of it, clients at work. */
export async function openKeepalivedAlone(): Promise<Baseline> {
  const lab = await createLab({ id: 'foka', nodes: 2, kit });
  return { system: 'keepalived-script', lab, prober: lab.prober({ everyMs: 5 }), victim: lab.host('gpu1'), hasVip: true };
}

function confOf(plan: HostPlan): string {
  const first = plan.name === 'gpu1';
  return `global_defs {
    router_id ${plan.name}
    script_user root
}
vrrp_script ollama {
    script "/usr/bin/curl -sf http://127.0.0.1:11434/"
    interval 2
    fall 3
    rise 2
}
vrrp_instance VIP {
    state ${first ? 'MASTER' : 'BACKUP'}
    interface eth0
    virtual_router_id 77
    priority ${first ? 101 : 100}
    advert_int 1
    virtual_ipaddress {
        ${vipAddress}/${prefixLength} dev eth0
    }
    track_script {
        ollama
    }
}
`;
}
