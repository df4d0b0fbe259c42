// GGUF headers: enough to write weights that look real, and to see what Ollama's decoder sees of them.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** A value of the header. Whole numbers are stored as u32, others as f32. */
export type GgufValue = string | number | boolean | readonly string[] | readonly number[];

/** One tensor of the header. Only F32 and F16 are written. */
export type GgufTensor = { readonly name: string; readonly type: 'F32' | 'F16'; readonly shape: readonly number[] };

/** What a header says. `parameters` is the number of elements of all tensors. */
export type Gguf = {
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
  readonly parameters: number;
};

/** A header that cannot be used, in the words of Ollama. */
export class GgufError extends Error {}

const BYTES = { F32: 4, F16: 2 } as const;
const HEADER_MAX_BYTES = 4 * 1024 * 1024;
const ALIGN = 32;

/** The bytes of a header, padded to where the tensors begin. */
export function encodeGguf(values: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Buffer {
  const out: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(values.size)];
  for (const [key, value] of values) out.push(text(key), encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    out.push(text(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(tensor.type === 'F32' ? 0 : 1), u64(offset));
    offset += align(sizeOf(tensor));
  }
  const header = Buffer.concat(out);
  return Buffer.concat([header, Buffer.alloc(align(header.length) - header.length)]);
}

/** Reads the header of a file and checks that its tensors fit. Throws `GgufError`, or the error of `open`. */
export function readGguf(path: string): Gguf {
  const file = openSync(path, 'r');
  try {
    const fileBytes = fstatSync(file).size;
    const head = Buffer.alloc(Math.min(fileBytes, HEADER_MAX_BYTES));
    readSync(file, head, 0, head.length, 0);
    return decode(head, fileBytes);
  } finally {
    closeSync(file);
  }
}

function decode(head: Buffer, fileBytes: number): Gguf {
  if (head.length < 4 || head.subarray(0, 4).toString('latin1') !== 'GGUF') throw new GgufError('invalid file magic');
  try {
    const cursor = { head, at: 8 };
    const tensorCount = readU64(cursor);
    const valueCount = readU64(cursor);
    const values = new Map<string, GgufValue>();
    for (let i = 0; i < valueCount; i++) values.set(readText(cursor), readValue(cursor, readU32(cursor)));
    const entries = Array.from({ length: tensorCount }, () => readTensor(cursor));
    const start = align(cursor.at);
    for (const { tensor, offset } of entries) {
      const end = start + offset + sizeOf(tensor);
      if (end > fileBytes) throw new GgufError(`tensor "${tensor.name}" offset+size (${end}) exceeds file size (${fileBytes})`);
    }
    const tensors = entries.map((entry) => entry.tensor);
    return { values, tensors, parameters: tensors.reduce((sum, tensor) => sum + elements(tensor), 0) };
  } catch (error) {
    if (error instanceof RangeError) throw new GgufError('unexpected EOF');
    throw error;
  }
}

type Cursor = { readonly head: Buffer; at: number };

function readTensor(cursor: Cursor): { tensor: GgufTensor; offset: number } {
  const name = readText(cursor);
  const shape = Array.from({ length: readU32(cursor) }, () => readU64(cursor));
  const type = readU32(cursor) === 1 ? 'F16' : 'F32';
  return { tensor: { name, type, shape }, offset: readU64(cursor) };
}

function readValue(cursor: Cursor, type: number): GgufValue {
  switch (type) {
    case 4:
      return readU32(cursor);
    case 6:
      cursor.at += 4;
      return Number(cursor.head.readFloatLE(cursor.at - 4).toPrecision(7));
    case 7:
      cursor.at += 1;
      return cursor.head.readUInt8(cursor.at - 1) === 1;
    case 8:
      return readText(cursor);
    case 9:
      return readArray(cursor, readU32(cursor));
    default:
      throw new GgufError(`invalid type: ${type}`);
  }
}

function readArray(cursor: Cursor, type: number): readonly string[] | readonly number[] {
  const length = readU64(cursor);
  if (type === 8) return Array.from({ length }, () => readText(cursor));
  return Array.from({ length }, () => Number(readValue(cursor, type)));
}

function readText(cursor: Cursor): string {
  const length = readU64(cursor);
  if (cursor.at + length > cursor.head.length) throw new RangeError('past the end');
  cursor.at += length;
  return cursor.head.toString('utf8', cursor.at - length, cursor.at);
}

function readU32(cursor: Cursor): number {
  cursor.at += 4;
  return cursor.head.readUInt32LE(cursor.at - 4);
}

function readU64(cursor: Cursor): number {
  cursor.at += 8;
  return Number(cursor.head.readBigUInt64LE(cursor.at - 8));
}

function encodeValue(value: GgufValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)]);
  if (typeof value === 'boolean') return Buffer.concat([u32(7), Buffer.from([value ? 1 : 0])]);
  if (typeof value === 'number') return Number.isInteger(value) ? Buffer.concat([u32(4), u32(value)]) : Buffer.concat([u32(6), f32(value)]);
  const items = value.map((item) => (typeof item === 'string' ? text(item) : f32(item)));
  const type = typeof value[0] === 'number' ? 6 : 8;
  return Buffer.concat([u32(9), u32(type), u64(items.length), ...items]);
}

function sizeOf(tensor: GgufTensor): number {
  return elements(tensor) * BYTES[tensor.type];
}

function elements(tensor: GgufTensor): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGN) * ALIGN;
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

function f32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
