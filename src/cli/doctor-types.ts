// What the doctor knows of a node, and what it has to say. Collectors fill the facts, checks turn them into findings.

/** Null everywhere: it could not be found out. */
export type Facts = {
  readonly node: string;
  readonly ollama: OllamaFacts | null;
  readonly kernel: KernelFacts;
  /** Of the directory that holds the models; null on a node without. */
  readonly store: StoreFacts | null;
  readonly clock: {
    readonly synchronized: boolean | null;
    /** How far the clocks of other nodes are ahead of this one's, ms; `unsureMs`: half the time that asking took. */
    readonly others: readonly { readonly node: string; readonly aheadMs: number; readonly unsureMs: number }[];
  };
  readonly pki: readonly { readonly file: string; readonly what: 'ca' | 'cert'; readonly daysLeft: number | null }[];
  readonly redis: readonly { readonly server: string; readonly up: boolean; readonly p99Ms: number }[] | null;
  readonly agent: {
    readonly commandTimeoutMs: number;
    readonly loopLateP99Ms: number | null;
    readonly renewMs: number;
    /** Versions by node, as the agent sees them. */
    readonly versions: readonly { readonly node: string; readonly agent: string; readonly ollama: string }[];
    /** Who answers for the address on the wire, '' = nobody was seen, and whether that were two. */
    readonly wire: { readonly holder: string; readonly owner: string; readonly two: boolean };
  } | null;
  readonly vip: VipFacts | null;
  /** Of nginx on a host that balances; null = none does. `problem` '' = it takes its configuration. */
  readonly nginx: { readonly file: string; readonly problem: string | null } | null;
};

/** The local Ollama as its process or its unit was set up. */
export type OllamaFacts = {
  readonly url: string;
  readonly version: string | null;
  /** Its environment; null = it may not be read. */
  readonly env: Readonly<Record<string, string>> | null;
  /** Addresses that its port listens on. */
  readonly listens: readonly string[] | null;
};

/** Settings of the kernel. */
export type KernelFacts = {
  readonly somaxconn: number | null;
  readonly overcommitMemory: number | null;
  /** The word in brackets: always, madvise or never. */
  readonly transparentHugepages: string | null;
  /** net.ipv4.ip_nonlocal_bind. */
  readonly nonlocalBind: number | null;
};

/** The model store. */
export type StoreFacts = {
  readonly path: string;
  readonly problem: string | null;
  readonly freeBytes: number | null;
  readonly reserveBytes: number;
  /** Sequential reading, bytes per second, of a blob; null = there is none. */
  readonly readBytesPerSecond: number | null;
  /** Directories of the store that belong to somebody else than the store itself. */
  readonly foreign: readonly string[];
  /** systemd lets the agent write here; null = not known. */
  readonly unitMayWrite: boolean | null;
};

/** What the virtual address rests on. */
export type VipFacts = {
  readonly driver: 'keepalived' | 'address';
  readonly interface: string;
  readonly interfaceUp: boolean | null;
  readonly fence: 'required' | 'preferred' | 'off';
  /** The table is loaded; null = nft could not be asked. */
  readonly fenceLoaded: boolean | null;
  readonly arpIgnore: number | null;
  readonly arpAnnounce: number | null;
  readonly programs: Readonly<Record<'keepalived' | 'nft' | 'arping' | 'ss', boolean>>;
  /** Differences that `agentctl keepalived check` finds; null with another driver. */
  readonly keepalivedProblems: readonly string[] | null;
  /** VRRP packets of protocol 112 are dropped by a rule of this host; null = unknown. */
  readonly vrrpDropped: boolean | null;
  readonly addresses: readonly string[];
  /** Adverts go to each peer, or to the multicast group. */
  readonly adverts: 'unicast' | 'multicast';
  /** VRRP packets that reached this host in a moment of listening; null = it was not listened, as on the active node or without root. */
  readonly advertsHeard: number | null;
};

/** Parts of the doctor's work, the values of --only. */
export const parts = ['ollama', 'kernel', 'store', 'clock', 'pki', 'redis', 'agent', 'vip', 'nginx'] as const;
export type Part = (typeof parts)[number];

/** One finding. `unknown`: it could not be judged. */
export type Finding = {
  readonly part: Part;
  readonly level: 'ok' | 'warning' | 'critical' | 'unknown';
  /** What was found. */
  readonly what: string;
  /** Where: a file, a setting, a node. */
  readonly where: string;
  /** What to change, a command line where there is one; '' = nothing. */
  readonly change: string;
};
