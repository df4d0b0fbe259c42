// The growth as a table for people.
import Table from 'cli-table3';
import type { SizeResult } from './measure.ts';

/** One line for each size, then how each target stands. */
export function growthTable(sizes: readonly SizeResult[]): string {
  const table = new Table({
    head: [
      'nodes',
      'by',
      'CPU %',
      'RSS MiB',
      'PSS MiB',
      'msg/s',
      'bytes/s',
      'hubs msg/s',
      'hubs CPU %',
      'killed ms',
      'silent ms',
      'redis/s',
    ],
    style: { head: [], border: [] },
  });
  for (const s of sizes) {
    table.push([
      s.nodes,
      s.source,
      s.cpuPercent ?? '-',
      s.rssMiB ?? '-',
      s.pssMiB ?? '-',
      s.messagesPerNodePerSecond,
      s.bytesPerNodePerSecond,
      s.hubs?.messagesPerNodePerSecond ?? '-',
      s.hubs?.cpuPercent ?? '-',
      `${s.detectMs} (${s.detectMsMax})`,
      `${s.silentDetectMs} (${s.silentDetectMsMax})`,
      s.redisCommandsPerSecond,
    ]);
  }
  return [table.toString(), ...targetLines(sizes)].join('\n');
}

function targetLines(sizes: readonly SizeResult[]): readonly string[] {
  const at = (nodes: number) => sizes.find((s) => s.nodes === nodes);
  const [three, sixteen, most] = [at(3), at(16), at(64)];
  const line = (met: boolean, text: string) => `${met ? 'met   ' : 'MISSED'} ${text}`;
  const lines: string[] = [];
  if (three !== undefined && three.cpuPercent !== null && three.rssMiB !== null) {
    lines.push(line(three.cpuPercent <= 1, `idle agent at 3 nodes: ${three.cpuPercent} % of a core, target 1`));
    lines.push(line(three.rssMiB <= 110, `idle agent at 3 nodes: ${three.rssMiB} MiB RSS, target 110, then 80`));
  }
  if (most === undefined) return lines;
  if (sixteen !== undefined) {
    const [own, before] = [most.messagesPerNodePerSecond, sixteen.messagesPerNodePerSecond];
    lines.push(line(own <= before, `messages of an ordinary node at 64: ${own}/s, at 16: ${before}/s`));
  }
  if (three !== undefined) {
    const [killed, silent] = [most.detectMs / three.detectMs, most.silentDetectMs / three.silentDetectMs];
    lines.push(line(killed <= 1.2, `death at 64 noticed in ${killed.toFixed(2)} x the time at 3, target 1.2`));
    lines.push(line(silent <= 1.2, `silence at 64 noticed in ${silent.toFixed(2)} x the time at 3, target 1.2`));
  }
  lines.push(line(most.redisCommandsPerSecond <= 200, `Redis at 64: ${most.redisCommandsPerSecond} commands/s, target 200`));
  return lines;
}
