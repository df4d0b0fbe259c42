// keepalived.conf for our one instance. keepalived is an actuator here: it follows three files and never elects.

/** What the configuration says that keepalived must know. */
export type KeepalivedOptions = {
  readonly node: { readonly id: string; readonly address: string };
  /** All nodes of the cluster, this one included or not. */
  readonly nodes: readonly { readonly id: string; readonly address: string }[];
  /** The virtual address with its prefix length. */
  readonly vip: string;
  readonly interface: string;
  readonly virtualRouterId: number;
  /** The agent's run directory. */
  readonly runDir: string;
  /** The dead-man script. */
  readonly script: string;
  /** Who may read the FIFO: the agent's user. */
  readonly user: string;
};

/** Name of our instance, in the FIFO and in keepalived's log. */
export const INSTANCE = 'OLLAMA_VIP';

const IP_ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/;

/** Up to this many nodes adverts go to each peer; 100 a second to every one would be too many beyond. */
const UNICAST_NODES_MAX = 16;

/** The FIFO that keepalived reports through; not in `vip/`, which must stay quiet. */
export function fifoOf(runDir: string): string {
  return `${runDir}/keepalived.fifo`;
}

/** The directory of the track files. */
export function vipDirOf(runDir: string): string {
  return `${runDir}/vip`;
}

/** Renders the file. Throws a RangeError for host names, and when the node's address and the virtual one are not of one family. */
export function renderKeepalived(options: KeepalivedOptions): string {
  for (const node of [options.node, ...options.nodes]) {
    if (!IP_ADDRESS.test(node.address)) throw new RangeError(`keepalived needs IP addresses, and node ${node.id} has ${node.address}`);
  }
  if (options.vip.includes(':') !== options.node.address.includes(':')) {
    throw new RangeError(`vip.address ${options.vip} and node.address ${options.node.address} must be of the same family (IPv4 or IPv6)`);
  }
  return [globals(options), tracks(options), instance(options)].join('\n');
}

function globals(options: KeepalivedOptions): string {
  return `# Written by "agentctl keepalived render" for node ${options.node.id}. The same on every node but for router_id and the addresses.
global_defs {
    router_id ${options.node.id}
    script_user nobody nogroup
    enable_script_security
    vrrp_version 3                      # version 2 rounds to whole seconds
    vrrp_check_unicast_src
    vrrp_garp_master_delay 1            # a second burst, for neighbours that ignored the first
    vrrp_garp_master_repeat 3
    vrrp_garp_master_refresh 10
    vrrp_garp_lower_prio_repeat 3
    vrrp_garp_lower_prio_delay 1
    vrrp_rt_priority 50
    vrrp_rlimit_rttime 100000
    vrrp_no_swap
    vrrp_notify_fifo ${fifoOf(options.runDir)} ${options.user} ${options.user}
    vrrp_notify_priority_changes true
}
`;
}

function tracks(options: KeepalivedOptions): string {
  const dir = vipDirOf(options.runDir);
  return `track_file ollama_ha_lease {            # 1 = this node holds the lease; anything else, or no file, is FAULT
    file "${dir}/lease"
    weight 0 reverse
    init_file 0 overwrite
}
track_file ollama_ha_epoch {            # 0..249, added to the priority: the newest lease wins every conflict
    file "${dir}/epoch"
    weight 1
    init_file 0 overwrite
}
vrrp_script ollama_ha_deadline {        # takes the address off when agent and lease stand still
    script "${options.script} ${dir}"
    interval 1
    timeout 1
    rise 1
    fall 1
    init_fail
}
`;
}

function instance(options: KeepalivedOptions): string {
  const peers = options.nodes.filter((node) => node.id !== options.node.id);
  const unicast = peers.length > 0 && peers.length < UNICAST_NODES_MAX;
  const source = unicast
    ? `    unicast_src_ip ${options.node.address}
    unicast_peer {
${peers.map((peer) => `        ${peer.address}\n`).join('')}    }`
    : `    mcast_src_ip ${options.node.address}`;
  return `vrrp_instance ${INSTANCE} {
    state BACKUP                        # no nopreempt: the newest epoch must win
    interface ${options.interface}
    virtual_router_id ${options.virtualRouterId}
    priority 3                          # the same on every node; the epoch decides
    advert_int 0.01                     # with two adverts: up 20 to 30 ms after the lease
    down_timer_adverts 2                # never 1
${source}
    track_file {
        ollama_ha_lease
        ollama_ha_epoch
    }
    track_script {
        ollama_ha_deadline
    }
    virtual_ipaddress {
        ${options.vip} dev ${options.interface} no_track
    }
}
`;
}
