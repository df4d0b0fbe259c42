// What the doctor knows of a node, and what it has to say. Collectors fill the facts, checks turn them into findings.

/** Null everywhere: it could not be found out. */
export type Facts = {
  readonly node: string;
  readonly ollama: OllamaFacts | null;
  readonly kernel: KernelFacts;
  /** Of the directory that holds the models; null on a node without. */
  readonly store: StoreFacts | null;
  readonly clock: { readonly synchronized: boolean | null };
  readonly pki: readonly { readonly file: string; readonly what: 'ca' | 'cert'; readonly daysLeft: number | null }[];
  readonly redis: readonly { readonly server: string; readonly up: boolean; readonly p99Ms: number }[] | null;
  readonly agent: {
    readonly commandTimeoutMs: number;
    readonly loopLateP99Ms: number | null;
    readonly renewMs: number;
    /** Versions by node, as the agent sees them. */
    readonly versions: readonly { readonly node: string; readonly agent: string; readonly ollama: string }[];
  } | null;
  readonly vip: VipFacts | null;
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
};

/** The model store. */
export type StoreFacts = {
  readonly path: string;
  readonly problem: string | null;
  readonly freeBytes: number | null;
  readonly reserveBytes: number;
  /** Sequential reading, bytes per second, of a blob; null = there is none. */
  readonly readBytesPerSecond: number | null;
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
};

/** Parts of the doctor's work, the values of --only. */
export const parts = ['ollama', 'kernel', 'store', 'clock', 'pki', 'redis', 'agent', 'vip'] as const;
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
