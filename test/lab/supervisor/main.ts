// The service manager of one lab host: runs inside the host's namespace, takes its orders over a Unix socket as JSON lines.
// Usage: node main.ts SPEC.json
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Order, OrderReply, SupervisorSpec } from './protocol.ts';
import { type Service, superviseUnit } from './service.ts';
import { parseUnit } from './unit.ts';

const spec: SupervisorSpec = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const services = new Map<string, Service>(
  spec.units.map(({ name, files, ...place }) => {
    const texts = files.map((path) => ({ path, text: readFileSync(path, 'utf8') }));
    return [name, superviseUnit(parseUnit(texts), place)];
  }),
);

rmSync(spec.socket, { force: true });
const server = createServer((connection) => {
  connection.on('error', () => connection.destroy());
  createInterface({ input: connection }).on('line', (line) => {
    void obey(JSON.parse(line)).then((reply) => connection.end(`${JSON.stringify(reply)}\n`));
  });
});
server.listen(spec.socket);

async function obey(order: Order): Promise<OrderReply> {
  try {
    if (order.op !== 'status') {
      const service = services.get(order.unit);
      if (service === undefined) throw new Error(`no unit "${order.unit}"; there are ${[...services.keys()].join(', ')}`);
      await (order.op === 'start' ? service.start() : service.stop());
    }
    return { ok: true, units: Object.fromEntries([...services].map(([name, service]) => [name, service.status()])) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}
