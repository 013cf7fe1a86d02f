import { crc32 } from "node:zlib";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";

/**
 * Every value in the store that is not a block ends in four bytes: the CRC-32 of its key and of what precedes them. The
 * key is part of it, so that a value which LevelDB returns for another key is found out too.
 */
const CHECK_BYTES = 4;

export function sealRow(key: Buffer, body: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(body.length + CHECK_BYTES);
  value.set(body);
  value.writeUInt32BE(crc32(body, crc32(key)), body.length);
  return value;
}

/** What was sealed, or null when key or value are not what they were. */
export function openRow(key: Buffer, value: Buffer): Buffer | null {
  const end = value.length - CHECK_BYTES;
  if (end < 0) return null;
  const body = value.subarray(0, end);
  return value.readUInt32BE(end) === crc32(body, crc32(key)) ? body : null;
}

/** A row of numbers, with text behind them. */
export function numbersRow(key: Buffer, numbers: readonly number[], text = ""): Buffer {
  const out = new ByteWriter(numbers.length * 8 + text.length * 3);
  for (const number of numbers) out.varint(number);
  out.length += out.buffer.write(text, out.length, "utf8");
  return sealRow(key, out.copy());
}

/** The first `count` numbers of a row and the text behind them, or null when the row is damaged. */
export function readNumbers(
  key: Buffer,
  value: Buffer,
  count: number,
): { readonly numbers: number[]; readonly text: string } | null {
  const body = openRow(key, value);
  if (body === null) return null;
  const reader = new ByteReader(body);
  const numbers = Array.from({ length: count }, () => reader.varint());
  return { numbers, text: body.toString("utf8", reader.at) };
}
