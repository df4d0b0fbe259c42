// What is asked of peers about the chunks of a blob: which they have, and what the hashes are.
import type { Sha256 } from '../../core/replication/types.ts';
import type { Holding } from './chunk-map.ts';
import { type Connection, collector } from './connection.ts';
import type { Peer } from './messages.ts';
import { chunkCount, HASH_BYTES, HASHES_MAX } from './protocol.ts';

type Lending = {
  readonly lend: (source: Peer, signal: AbortSignal) => Promise<Connection>;
  readonly giveBack: (source: Peer, connection: Connection) => void;
};
type Blob = { readonly digest: Sha256; readonly sizeBytes: number };

/** What a peer has of a blob; null = nothing, or another size. Rejects when it cannot be asked. */
export async function askHolding(lending: Lending, peer: Peer, { digest, sizeBytes }: Blob, signal: AbortSignal): Promise<Holding | null> {
  const bitsLength = Math.ceil(chunkCount(sizeBytes) / 8);
  const connection = await lending.lend(peer, signal);
  const body = collector(2 * bitsLength);
  const fits = (head: { readonly sizeBytes: number; readonly length: number }) =>
    head.sizeBytes === sizeBytes && (head.length === 0 || head.length === 2 * bitsLength);
  const result = await connection.get({ request: { k: 'have', digest }, fits, body, signal });
  lending.giveBack(peer, connection);
  if (result.k === 'wrong') return null;
  if (result.head.length === 0) return 'whole';
  return { have: body.bytes().subarray(0, bitsLength), coming: body.bytes().subarray(bitsLength) };
}

/** The chunk hashes of a blob as one node that holds it whole gives them, fetched as they are needed. */
export type HashList = {
  readonly peer: Peer;
  /** Hex. Rejects when the node does not tell. */
  readonly hashOf: (chunk: number) => Promise<string>;
  readonly close: () => void;
};

/** Opens the list of a node. */
export async function openHashList(lending: Lending, peer: Peer, { digest, sizeBytes }: Blob, signal: AbortSignal): Promise<HashList> {
  const connection = await lending.lend(peer, signal);
  const batches = new Map<number, Promise<Buffer>>();
  const fetch = async (first: number): Promise<Buffer> => {
    const count = Math.min(HASHES_MAX, chunkCount(sizeBytes) - first);
    const body = collector(count * HASH_BYTES);
    const fits = (head: { readonly sizeBytes: number; readonly length: number }) =>
      head.sizeBytes === sizeBytes && head.length === count * HASH_BYTES;
    const result = await connection.get({ request: { k: 'hashes', digest, first, count }, fits, body, signal });
    if (result.k === 'wrong') throw new Error(result.reason);
    return body.bytes();
  };
  return {
    peer,
    hashOf: async (chunk) => {
      const index = chunk % HASHES_MAX;
      const batch = batches.get(chunk - index) ?? fetch(chunk - index);
      batches.set(chunk - index, batch);
      return (await batch).toString('hex', index * HASH_BYTES, (index + 1) * HASH_BYTES);
    },
    close: () => lending.giveBack(peer, connection),
  };
}
