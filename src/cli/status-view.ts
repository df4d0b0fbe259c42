// The status table: header, one row per node, warnings. Pure: an answer in, text out.
import type { NodeRow, PlannedSwitchover, StatusReply } from '../gen/control.ts';
import { clip, duration, instant, printable, shortDuration, size, wrap } from './format.ts';
import type { Paint } from './paint.ts';
import { type ClusterHealth, isPresent, wireOwner } from './status-health.ts';
import { type Cell, tableText } from './table.ts';

const head = ['NODE', 'ADDR', 'ROLE', 'HEALTH', 'EPOCH', 'VIP', 'SEEN', 'MODELS', 'WARM', 'WHY-NOT'];

/** The whole text of `agentctl status`, at most `columns` wide (100 at least). */
export function statusText(reply: StatusReply, health: ClusterHealth, paint: Paint, columns: number): string {
  const width = Math.max(columns, 100);
  const rows = reply.nodes.map((row) => rowOf(row, reply, paint));
  const warnings = reply.warnings.map((warning) => paint.yellow(wrap(`warning: ${printable(warning)}`, width, '         ')));
  return [
    ...headerOf(reply, paint).map((parts) => flow(parts, width)),
    tableText(head, rows, width).trimEnd(),
    ...warnings,
    ...verdictLines(health, paint, width),
    '',
  ].join('\n');
}

function headerOf(reply: StatusReply, paint: Paint): readonly (readonly Cell[])[] {
  const held = reply.holder !== '';
  const lock = reply.lockDelayWhy === '' ? '' : ` (${reply.lockDelayWhy})`;
  const lease: readonly Cell[] = [
    { text: `cluster ${reply.cluster}` },
    { text: `holder ${held ? reply.holder : 'none'}`, paint: held ? paint.bold : paint.red },
    { text: `epoch ${reply.epoch === 0n ? '-' : reply.epoch}` },
    ...(held ? [{ text: `lease ${reply.leaseAgeMs}/${reply.leaseLeftMs} ms` }] : []),
    { text: `${reply.preset} ${reply.ttlMs}/${reply.renewMs}/${reply.pollMs}` },
  ];
  const vip: readonly Cell[] = [
    { text: vipText(reply) },
    { text: `lockDelay ${reply.lockDelayMs}${lock}` },
    reply.mode === 'normal' ? { text: 'mode normal' } : { text: `mode ${modeText(reply)}`, paint: paint.yellow },
    ...(reply.planned === undefined ? [] : [{ text: plannedText(reply.planned), paint: paint.yellow }]),
  ];
  return [
    lease,
    vip,
    keepalivedParts(reply, paint),
    redisParts(reply).map((text) => ({ text })),
    levelParts(reply, paint),
    [{ text: askedText(reply) }],
  ].filter((parts) => parts.length > 0);
}

function keepalivedParts({ keepalived, asked }: StatusReply, paint: Paint): readonly Cell[] {
  if (keepalived === undefined) return [];
  const { running, state, priority, sinceMs, differs } = keepalived;
  const name = running ? state || 'silent so far' : 'not running';
  const details = [
    ...(running && state !== '' ? [`priority ${priority}`] : []),
    ...(sinceMs < 0n ? [] : [`for ${duration(Number(sinceMs))}`]),
  ];
  const text = `keepalived on ${asked} ${name}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
  return [differs === '' ? { text } : { text, paint: paint.yellow }];
}

// Each level of evidence with its own state; the words stand in the warnings and in `explain`.
function levelParts({ health, asked }: StatusReply, paint: Paint): readonly Cell[] {
  const colour = (state: string) => (state === 'failed' ? paint.red : state === 'warning' ? paint.yellow : undefined);
  return health.map(({ level, state }, i) => {
    const text = `${i === 0 ? `ollama on ${asked}  ` : ''}${level} ${state}`;
    const own = colour(state);
    return own === undefined ? { text } : { text, paint: own };
  });
}

function modeText(reply: StatusReply): string {
  return reply.mode === 'paused' && reply.pausedBy !== '' ? `paused by ${reply.pausedBy}` : reply.mode;
}

function plannedText({ to, atMs, by }: PlannedSwitchover): string {
  return `switchover to ${to === '' ? 'the best heir' : to} at ${instant(Number(atMs))}${by === '' ? '' : ` by ${by}`}`;
}

// Parts of a line, two spaces apart; a part that does not fit begins a new line.
function flow(parts: readonly Cell[], width: number): string {
  let used = 0;
  let line = '';
  for (const part of parts) {
    const text = clip(printable(part.text), width - 2);
    const drawn = part.paint === undefined ? text : part.paint(text);
    const gap = used === 0 ? '' : used + 2 + text.length > width ? '\n  ' : '  ';
    used = gap.startsWith('\n') ? 2 + text.length : used + gap.length + text.length;
    line += gap + drawn;
  }
  return line;
}

function vipText(reply: StatusReply): string {
  if (reply.vip === '') return 'vip none';
  if (reply.vipOwnerMac === '' && reply.vipOwner === '') return `vip ${reply.vip} -> not seen on the wire`;
  const mac = reply.vipOwnerMac === '' ? '' : `${reply.vipOwnerMac}, `;
  return `vip ${reply.vip} -> ${reply.vipOwner === '' ? 'unknown' : reply.vipOwner} (${mac}${duration(Number(reply.vipOwnerAgeMs))} ago)`;
}

function redisParts(reply: StatusReply): readonly string[] {
  if (reply.redis.length === 0) return [];
  const up = reply.redis.filter((row) => row.up);
  const down = reply.redis.filter((row) => !row.up).map((row) => `${row.server} down${row.lastError === '' ? '' : `: ${row.lastError}`}`);
  const latency = up.length === 0 ? '' : `, ${Math.max(...up.map((row) => row.latencyMs)).toFixed(1)} ms`;
  return [`redis ${up.length} of ${reply.redis.length} up${latency}`, ...down];
}

function askedText(reply: StatusReply): string {
  const reason = reply.reason === '' ? '' : `: ${reply.reason}`;
  return `asked ${reply.asked}, ${duration(Number(reply.viewAgeMs))} old${reason}`;
}

function rowOf(row: NodeRow, reply: StatusReply, paint: Paint): readonly Cell[] {
  const mark = markOf(row, reply);
  const whole = isPresent(row) ? undefined : paint.dim;
  const cell = (text: string, own?: (text: string) => string): Cell => {
    const style = own ?? whole;
    return style === undefined ? { text } : { text, paint: style };
  };
  const why = row.vetoes[0] ?? (isPresent(row) ? '-' : row.role);
  return [
    cell(mark + row.node, mark === '!' ? paint.red : mark === '*' ? paint.bold : undefined),
    cell(row.address === '' ? '-' : row.address),
    cell(roleText(row), row.role === 'active' ? paint.green : undefined),
    cell(healthText(row), row.ollama === 'down' ? paint.red : row.ollama === 'degraded' ? paint.yellow : undefined),
    cell(epochText(row, reply.epoch)),
    cell(vipCell(row, reply)),
    cell(row.node === reply.asked ? '-' : duration(Number(row.seenMs))),
    cell(modelsText(row)),
    cell(row.hotWanted === 0 && row.hot === 0 ? '-' : `${row.hot}/${row.hotWanted}`),
    cell(why, row.vetoes.length > 0 && isPresent(row) ? paint.yellow : undefined),
  ];
}

// `*` the holder, `!` not what the lease says, `?` not heard of from the asked node.
function markOf(row: NodeRow, reply: StatusReply): '*' | '!' | '?' | ' ' {
  const holds = row.node === reply.holder;
  if (row.role === 'gone') return ' ';
  if (!isPresent(row)) return '?';
  if (row.role === 'active') return holds ? '*' : '!';
  if (row.state === 'suspect') return '?';
  return holds ? '!' : ' ';
}

function roleText(row: NodeRow): string {
  if (row.role === 'gone') return `gone ${shortDuration(Number(row.seenMs))}`;
  return row.assignedRole === '' ? row.role : `${row.role}/${row.assignedRole}`;
}

function healthText(row: NodeRow): string {
  if (row.ollama === '' || !isPresent(row)) return '-';
  return row.ollamaAgeMs < 0n ? row.ollama : `${row.ollama} ${shortDuration(Number(row.ollamaAgeMs))}`;
}

function epochText(row: NodeRow, current: bigint): string {
  if (row.epoch === 0n) return '-';
  const behind = row.epoch - current;
  return behind === 0n ? '=' : `${behind > 0n ? '+' : ''}${behind}!`;
}

function vipCell(row: NodeRow, reply: StatusReply): string {
  const own = row.vip === 'present' ? 'own' : row.vip === 'none' || row.vip === 'absent' || row.vip === '' ? '' : row.vip;
  const wire = wireOwner(reply) === row.node && !own.includes('wire') ? 'wire' : '';
  return [own, wire].filter((part) => part !== '').join('+') || '-';
}

function modelsText(row: NodeRow): string {
  if (row.modelsTotal === 0) return '-';
  const behind = row.bytesBehind > 0n ? ` -${size(Number(row.bytesBehind))}` : '';
  return `${row.modelsComplete}/${row.modelsTotal}${behind}`;
}

function verdictLines(health: ClusterHealth, paint: Paint, width: number): readonly string[] {
  if (health.state === 'healthy') return [];
  const text = wrap(`${health.state}: ${health.reasons.map(printable).join('; ')}`, width, '  ');
  return [health.state === 'degraded' ? paint.yellow(text) : paint.red(text)];
}
