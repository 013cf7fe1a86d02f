/**
 * Keys of the store. The first byte tells the kind. Blocks sort before everything else, and that matters: rows are
 * rewritten all the time, and a compaction rewrites whatever lies between the first and the last key of the files that it
 * merges. With rows in front of the blocks, each would rewrite the whole backlog.
 */
export const KEY = {
  block: 0x62, // b, u64 first seq
  cursor: 0x63, // c, name
  dropped: 0x64, // d, u32 queue
  head: 0x68, // h, u32 queue
  meta: 0x6d, // m
  nextQueue: 0x6e, // n
  index: 0x71, // q, u32 queue, u64 first seq of the block
  row: 0x72, // r, u8 length of the space, space, key
  trimmed: 0x74, // t
} as const;

/** A key that is one letter, or the lowest key of a kind. */
export function kindKey(kind: number): Buffer {
  return Buffer.from([kind]);
}

export function blockKey(firstSeq: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = KEY.block;
  writeSeq(key, firstSeq, 1);
  return key;
}

export function blockKeySeq(key: Buffer): number {
  return readSeq(key, 1);
}

export function queueKey(kind: number, number: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key[0] = kind;
  key.writeUInt32BE(number, 1);
  return key;
}

export function queueKeyNumber(key: Buffer): number {
  return key.readUInt32BE(1);
}

export function indexKey(queue: number, firstSeq: number): Buffer {
  const key = Buffer.allocUnsafe(13);
  key[0] = KEY.index;
  key.writeUInt32BE(queue, 1);
  writeSeq(key, firstSeq, 5);
  return key;
}

export function indexKeySeq(key: Buffer): number {
  return readSeq(key, 5);
}

export function namedKey(kind: number, name: string): Buffer {
  return Buffer.concat([kindKey(kind), Buffer.from(name, "utf8")]);
}

export function spacePrefix(space: string): Buffer {
  const name = Buffer.from(space, "utf8");
  return Buffer.concat([Buffer.from([KEY.row, name.length]), name]);
}

/** The lowest key above all that begin with `prefix`, whose last byte is not 255. */
export function above(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return end;
}

function writeSeq(key: Buffer, seq: number, at: number): void {
  key.writeUInt32BE(Math.floor(seq / 2 ** 32), at);
  key.writeUInt32BE(seq % 2 ** 32, at + 4);
}

function readSeq(key: Buffer, at: number): number {
  return key.readUInt32BE(at) * 2 ** 32 + key.readUInt32BE(at + 4);
}
