// keepalived.conf for our one instance. keepalived is an actuator here: it follows three files and never elects.

/** What the configuration says that keepalived must know. */
export type KeepalivedOptions = {
  readonly node: { readonly id: string; readonly address: string };
  /** All nodes of the cluster, this one included or not. */
  readonly nodes: readonly { readonly id: string; readonly address: string }[];
  /** The virtual addresses with their prefix lengths; at least one of the family of the node's address. */
  readonly vips: readonly string[];
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
export const UNICAST_NODES_MAX = 16;

/** The FIFO that keepalived reports through; not in `vip/`, which must stay quiet. */
export function fifoOf(runDir: string): string {
  return `${runDir}/keepalived.fifo`;
}

/** The directory of the track files. */
export function vipDirOf(runDir: string): string {
  return `${runDir}/vip`;
}

/**
 * Renders one whole file. Throws a RangeError for host names, for nodes of both families, and when no virtual address is of the family of the
 * nodes'.
 */
export function renderKeepalived(options: KeepalivedOptions): string {
  return [headOf(options), globals(options), renderInstance(options)].join('\n');
}

/** The part that an operator's own keepalived.conf can include: everything but `global_defs`. Throws as renderKeepalived. */
export function renderIncluded(options: KeepalivedOptions): string {
  return [headOf(options), renderInstance(options)].join('\n');
}

/** A keepalived.conf that holds nothing but our `global_defs`, and includes the other part from `file`. */
export function renderMain(options: KeepalivedOptions, file: string): string {
  return `${headOf(options)}\n${globals(options)}\ninclude ${file}\n`;
}

/** What an operator's own `global_defs` must hold for the included part, line by line. */
export function requiredGlobals(options: Pick<KeepalivedOptions, 'runDir' | 'user'>): readonly string[] {
  return [
    'enable_script_security',
    `vrrp_notify_fifo ${fifoOf(options.runDir)} ${options.user} ${options.user}`,
    'vrrp_notify_priority_changes true',
    'vrrp_rt_priority 50',
  ];
}

/** First words of every file that we wrote, and so may write again. */
export const OURS = '# Written by "agentctl keepalived';

function headOf(options: KeepalivedOptions): string {
  return `${OURS}" for node ${options.node.id}; do not edit. The same on every node but for router_id and the addresses.`;
}

function renderInstance(options: KeepalivedOptions): string {
  const places = [options.node, ...options.nodes];
  for (const node of places) {
    if (!IP_ADDRESS.test(node.address)) throw new RangeError(`keepalived needs IP addresses, and node ${node.id} has ${node.address}`);
  }
  const v6 = options.node.address.includes(':');
  const other = places.find((node) => node.address.includes(':') !== v6);
  if (other !== undefined) {
    throw new RangeError(`keepalived talks one family: ${options.node.id} has ${options.node.address}, ${other.id} has ${other.address}`);
  }
  if (!options.vips.some((vip) => vip.includes(':') === v6)) {
    const family = v6 ? 'IPv6' : 'IPv4';
    throw new RangeError(
      `keepalived needs a virtual address of the family of the nodes' addresses (${family}), not only ${options.vips.join(', ')}`,
    );
  }
  return [tracks(options), instance(options)].join('\n');
}

function globals(options: KeepalivedOptions): string {
  return `global_defs {
    router_id ${options.node.id}
    script_user nobody nogroup
    enable_script_security
    vrrp_version 3                      # version 2 rounds to whole seconds
    vrrp_check_unicast_src
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
    user nobody nogroup
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
    version 3                           # version 2 rounds to whole seconds
    interface ${options.interface}
    virtual_router_id ${options.virtualRouterId}
    priority 3                          # the same on every node; the epoch decides
    advert_int 0.01                     # with two adverts: up 20 to 30 ms after the lease
    down_timer_adverts 2                # never 1
${source}
    garp_master_delay 1                 # a second burst, for neighbours that ignored the first
    garp_master_repeat 3
    garp_master_refresh 10
    garp_lower_prio_repeat 3
    garp_lower_prio_delay 1
    track_file {
        ollama_ha_lease
        ollama_ha_epoch
    }
    track_script {
        ollama_ha_deadline
    }
${addresses(options)}}
`;
}

// One instance talks one family; addresses of the other are placed by it all the same, they only do not stand in its adverts.
function addresses(options: KeepalivedOptions): string {
  const v6 = options.node.address.includes(':');
  const block = (name: string, vips: readonly string[]) =>
    vips.length === 0 ? '' : `    ${name} {\n${vips.map((vip) => `        ${lineOf(vip, options.interface)}\n`).join('')}    }\n`;
  return [
    block(
      'virtual_ipaddress',
      options.vips.filter((vip) => vip.includes(':') === v6),
    ),
    block(
      'virtual_ipaddress_excluded',
      options.vips.filter((vip) => vip.includes(':') !== v6),
    ),
  ].join('');
}

// An IPv6 address is never preferred: connections of the host itself must not take it as their source.
function lineOf(vip: string, name: string): string {
  return `${vip} dev ${name} no_track${vip.includes(':') ? ' preferred_lft 0' : ''}`;
}
