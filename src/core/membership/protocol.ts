// Rolling upgrades: every frame names the protocol its sender speaks and the oldest it understands. Two nodes work together when each understands
// what the other speaks. A release that changes the meaning of messages raises the first number and leaves the second one behind, so that
// neighbouring releases understand each other; additions that an older node may ignore raise neither.
import type { NodeId } from '../types.ts';

/** Protocol version a node speaks, and the oldest it understands. */
export type Protocol = { readonly v: number; readonly vMin: number };

/** What this program speaks. */
export const PROTOCOL: Protocol = { v: 1, vMin: 1 };

/** Whether two nodes understand each other. */
export function understands(other: Protocol, own: Protocol = PROTOCOL): boolean {
  return other.vMin <= own.v && other.v >= own.vMin;
}

/** Why a node is not taken for a member, and what to do: for log and status. */
export function protocolText(node: NodeId, other: Protocol, own: Protocol = PROTOCOL): string {
  return other.v < own.vMin
    ? `${node} speaks peer protocol ${other.v}, this agent understands ${own.vMin} to ${own.v}: upgrade ollama-ha on ${node}`
    : `${node} understands peer protocol ${other.vMin} to ${other.v}, this agent speaks ${own.v}: upgrade ollama-ha on this node`;
}
