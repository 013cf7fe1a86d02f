import { ownCopy } from "../base/own-copy.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { openRow, sealRow } from "./small-row.ts";

/** Which entries of one block wait in one queue. */
export interface IndexRow {
  /** First seq of the block. */
  readonly seq: number;
  /** Index in the queue of the first reference. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Bytes of all references before this row, and of those in it. */
  readonly bytesBefore: number;
  readonly bytes: number;
  /** As stored. */
  readonly value: Buffer;
}

/** Row value: varints first index, bytes before, bytes, count, then per reference how many entries lie before it. */
export function indexRow(
  key: Buffer,
  row: Pick<IndexRow, "seq" | "firstIndex" | "bytesBefore" | "bytes">,
  positions: readonly number[],
): IndexRow {
  const out = new ByteWriter(40 + positions.length * 2);
  out.varint(row.firstIndex);
  out.varint(row.bytesBefore);
  out.varint(row.bytes);
  out.varint(positions.length);
  let next = 0;
  for (const position of positions) {
    out.reserve(8);
    out.varint(position - next);
    next = position + 1;
  }
  return {
    ...row,
    lastIndex: row.firstIndex + positions.length - 1,
    value: ownCopy(sealRow(key, out.buffer.subarray(0, out.length))), // it stays in memory for long
  };
}

/** The row in a stored value, or null when it is damaged. */
export function openIndexRow(key: Buffer, seq: number, value: Buffer): IndexRow | null {
  const body = openRow(key, value);
  if (body === null) return null;
  const reader = new ByteReader(body);
  const firstIndex = reader.varint();
  const bytesBefore = reader.varint();
  const bytes = reader.varint();
  const lastIndex = firstIndex + reader.varint() - 1;
  return { seq, firstIndex, lastIndex, bytesBefore, bytes, value };
}

/** Places in the block, from 0, of the references of a row. */
export function positionsOf(row: IndexRow): number[] {
  const reader = new ByteReader(row.value);
  reader.varint();
  reader.varint();
  reader.varint();
  const count = reader.varint();
  const positions: number[] = new Array(count);
  let next = 0;
  for (let i = 0; i < count; i++) {
    const position = next + reader.varint();
    positions[i] = position;
    next = position + 1;
  }
  return positions;
}
