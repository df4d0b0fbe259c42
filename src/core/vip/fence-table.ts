// The fence as text: one netdev table that drops everything for and from the address unless the address is in a set whose elements time out.

/** Name of the table, in family netdev. */
export const FENCE_TABLE = 'ollama_ha_fence';

/** What the fence guards: addresses without prefix length, IPv4 and IPv6, spelled as nft prints them, on one interface. */
export type FenceOptions = { readonly interface: string; readonly vips: readonly string[] };

/** One address family of the fence. */
export type Family = {
  readonly addressSet: string;
  readonly liveSet: string;
  readonly type: 'ipv4_addr' | 'ipv6_addr';
  /** An address of the documentation range: a transaction with it touches no traffic. */
  readonly probe: string;
  readonly vips: readonly string[];
  readonly ingress: readonly string[];
  readonly egress: readonly string[];
};

const V4 = {
  addressSet: 'vip',
  liveSet: 'live',
  type: 'ipv4_addr',
  probe: '192.0.2.1',
  ingress: ['arp operation request arp daddr ip @vip arp daddr ip != @live counter drop', 'ip daddr @vip ip daddr != @live counter drop'],
  egress: ['arp saddr ip @vip arp saddr ip != @live counter drop', 'ip saddr @vip ip saddr != @live counter drop'],
} as const;

// A neighbour solicitation goes to a multicast address, but its answer carries the address as its source: the way out catches it.
const V6 = {
  addressSet: 'vip6',
  liveSet: 'live6',
  type: 'ipv6_addr',
  probe: '2001:db8::1',
  ingress: ['ip6 daddr @vip6 ip6 daddr != @live6 counter drop'],
  egress: ['ip6 saddr @vip6 ip6 saddr != @live6 counter drop'],
} as const;

/** The families that the addresses need, IPv4 first. */
export function familiesOf(vips: readonly string[]): readonly Family[] {
  return [V4, V6]
    .map((family) => ({ ...family, vips: vips.filter((vip) => vip.includes(':') === (family.type === 'ipv6_addr')) }))
    .filter((family) => family.vips.length > 0);
}

/** The table with its closed fence. Load it through `loadScript`, which replaces an older one. */
export function renderFence(options: FenceOptions): string {
  const families = familiesOf(options.vips);
  const sets = families.flatMap((f) => [
    `  set ${f.addressSet} { type ${f.type}; elements = { ${f.vips.join(', ')} }; }`,
    `  set ${f.liveSet} { type ${f.type}; flags timeout; }`,
  ]);
  const chain = (name: string, hook: string, rules: readonly string[]) => [
    `  chain ${name} {`,
    `    type filter hook ${hook} device "${options.interface}" priority -500; policy accept;`,
    ...rules.map((rule) => `    ${rule}`),
    '  }',
  ];
  return [
    `table netdev ${FENCE_TABLE} {`,
    ...sets,
    ...chain(
      'in',
      'ingress',
      families.flatMap((f) => f.ingress),
    ),
    ...chain(
      'out',
      'egress',
      families.flatMap((f) => f.egress),
    ),
    '}',
    '',
  ].join('\n');
}

/** One transaction that replaces the table by a fresh one; the fence is closed afterwards. */
export function loadScript(options: FenceOptions): string {
  return `add table netdev ${FENCE_TABLE}\ndelete table netdev ${FENCE_TABLE}\n${renderFence(options)}`;
}

/** What a listing of the table lacks of the fence wanted; '' = nothing. */
export function missingFrom(listing: string, options: FenceOptions): string {
  const plain = listing.replaceAll(/ packets \d+ bytes \d+/g, '');
  for (const hook of ['ingress', 'egress']) {
    const line = plain.split('\n').find((text) => text.includes(`hook ${hook} device`));
    if (line === undefined || !line.includes(`"${options.interface}"`)) return `no ${hook} hook on ${options.interface}`;
  }
  for (const family of familiesOf(options.vips)) {
    const absent = [...family.ingress, ...family.egress].find((rule) => !plain.includes(rule));
    if (absent !== undefined) return `no rule "${absent}"`;
    const set = new RegExp(`set ${family.addressSet} \\{[^}]*elements = \\{([^}]*)\\}`).exec(plain)?.[1] ?? '';
    const members = set.split(',').map((text) => text.trim());
    const unguarded = family.vips.find((vip) => !members.includes(vip));
    if (unguarded !== undefined) return `${unguarded} is not guarded`;
  }
  return '';
}
