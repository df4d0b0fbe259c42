// What the lab and a host's supervisor say to each other, and the lab's side of it.
import { createConnection } from 'node:net';
import type { Placement, ServiceStatus } from './service.ts';

/** A unit of a host: its name in the lab, its files (unit, then drop-ins), and how it is placed. */
export type UnitSpec = Placement & { readonly name: string; readonly files: readonly string[] };

/** All that a supervisor is told at its start. */
export type SupervisorSpec = { readonly socket: string; readonly units: readonly UnitSpec[] };

/** One order. */
export type Order = { readonly op: 'start' | 'stop'; readonly unit: string } | { readonly op: 'status' };

/** Its answer: the state of all units, or why not. */
export type OrderReply =
  | { readonly ok: true; readonly units: Readonly<Record<string, ServiceStatus>> }
  | { readonly ok: false; readonly error: string };

/** Sends one order and waits for its completion (a stop includes the stop hooks). Rejects when refused or nobody listens. */
export function order(socket: string, request: Order, timeoutMs = 100_000): Promise<Readonly<Record<string, ServiceStatus>>> {
  return new Promise((resolve, reject) => {
    let text = '';
    const connection = createConnection(socket, () => connection.write(`${JSON.stringify(request)}\n`));
    connection.setTimeout(timeoutMs, () => connection.destroy(new Error(`${socket}: no answer to ${JSON.stringify(request)}`)));
    connection.setEncoding('utf8');
    connection.on('data', (chunk) => {
      text += chunk;
    });
    connection.on('error', reject);
    connection.on('close', () => {
      if (text === '') return reject(new Error(`${socket}: closed without an answer to ${JSON.stringify(request)}`));
      const reply: OrderReply = JSON.parse(text);
      if (reply.ok) resolve(reply.units);
      else reject(new Error(reply.error));
    });
  });
}
