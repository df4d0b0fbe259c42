// A line of the log for people: `--pretty`.

const names: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'WARN', 50: 'ERROR' };

/** The line as people read it; what is no line of ours passes as it is. */
export function prettyLine(line: string): string {
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return line;
  }
  const { level, time, agent, event, msg, ...fields } = value;
  const facts = Object.entries(fields)
    .map(([key, one]) => `${key}=${typeof one === 'string' && !/\s/.test(one) ? one : JSON.stringify(one)}`)
    .join(' ');
  const clock = String(time).slice(11, 23);
  return `${clock} ${(names[Number(level)] ?? '').padEnd(5)} ${String(agent)} ${String(msg)}  [${String(event)}${facts === '' ? '' : ` ${facts}`}]\n`;
}
