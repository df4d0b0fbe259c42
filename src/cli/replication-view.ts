// The text of `agentctl replication status`, and the progress bars that `agentctl models --watch` shows too.
import type { ReplicationReply, TransferRow } from '../gen/control.ts';
import { clip, duration, instant, printable, size } from './format.ts';
import type { Paint } from './paint.ts';
import { tableText } from './table.ts';

const BAR = 20;

/** Everything, in the order of urgency. */
export function replicationText(reply: ReplicationReply, paint: Paint, columns: number): string {
  const parts = [
    headOf(reply),
    reply.blocked === '' ? '' : `${paint.red('blocked')}: ${printable(reply.blocked)}\n`,
    reply.alert === '' ? '' : `${paint.red('alert')}: ${printable(reply.alert)}\n`,
    transfersText(reply.transfers, columns),
    listed(
      'deleted here soon',
      reply.deletes.map((row) => `${printable(row.model)} in ${duration(Number(row.dueInMs))}`),
    ),
    listed('differ from the active', reply.conflicts.map(printable)),
    listed('only here', reply.extra.map(printable)),
    quarantineText(reply, columns),
    scrubText(reply),
  ];
  return parts.filter((part) => part !== '').join('');
}

function headOf(reply: ReplicationReply): string {
  const source = reply.source === '' ? 'copies from nobody: it is the active, or there is none' : `copies from ${printable(reply.source)}`;
  const level =
    reply.source === '' ? '' : `, ${reply.modelsComplete}/${reply.modelsTotal} models, ${size(Number(reply.bytesBehind))} behind`;
  const window =
    reply.window === '' ? '' : `, window ${printable(reply.window)} ${reply.windowOpen ? 'open' : 'closed: required models only'}`;
  const limit = reply.bytesPerSecondMax === 0n ? '' : `, at most ${size(Number(reply.bytesPerSecondMax))}/s`;
  return `${printable(reply.node)} ${source}${level}${window}${limit}${reply.paused ? '\npaused: agentctl replication resume' : ''}\n`;
}

/** One line for each model on its way; '' = none. */
export function transfersText(rows: readonly TransferRow[], columns: number): string {
  return rows.map((row) => `${clip(lineOf(row), Math.max(columns, 60))}\n`).join('');
}

function lineOf(row: TransferRow): string {
  const [done, total] = [Number(row.doneBytes), Number(row.totalBytes)];
  const share = total === 0 ? 0 : Math.min(1, done / total);
  const bar = `[${'#'.repeat(Math.floor(share * BAR)).padEnd(BAR, '.')}]`;
  const eta = row.etaMs < 0n ? '' : `, ${duration(Number(row.etaMs))} left`;
  const from = row.from === '' ? '' : ` from ${row.from}`;
  const figures = `${String(Math.floor(share * 100)).padStart(3)} % ${size(done)} of ${size(total)}, ${size(Number(row.bytesPerSecond))}/s${eta}`;
  return printable(`${bar} ${figures}  ${row.model} ${row.phase}${from}${row.note === '' ? '' : `: ${row.note}`}`);
}

function listed(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `${title}: ${items.join(', ')}\n`;
}

function quarantineText(reply: ReplicationReply, columns: number): string {
  if (reply.quarantine.length === 0) return '';
  const rows = reply.quarantine.map((entry) => [
    { text: entry.model === '' ? '(a blob)' : entry.model },
    { text: entry.kind },
    { text: size(Number(entry.heldBytes)) },
    { text: instant(Number(entry.atMs)) },
  ]);
  return `kept in the quarantine (agentctl models restore NAME):\n${tableText(['MODEL', 'WHY', 'SIZE', 'SINCE'], rows, columns)}`;
}

function scrubText({ scrub }: ReplicationReply): string {
  if (scrub === undefined || scrub.nextAtMs === 0n) return 'scrub: off\n';
  const corrupt = scrub.corruptBlobs === 0 ? '' : `, ${scrub.corruptBlobs} corrupt`;
  if (scrub.running) return `scrub: ${scrub.checkedBlobs} of ${scrub.totalBlobs} blobs read${corrupt}\n`;
  return `scrub: last ended ${instant(Number(scrub.lastDoneAtMs))}${corrupt}, next ${instant(Number(scrub.nextAtMs))}\n`;
}
