/** One record of what block-log.c has logged. `endsAt` is the size of the log, in bytes, once the record was appended. */
export type BlockRecord = Write | Flush;

export interface Write {
  readonly kind: "write";
  readonly endsAt: number;
  /** Where on the disk, in bytes. */
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface Flush {
  readonly kind: "flush";
  readonly endsAt: number;
}

const HEADER_BYTES = 16;
const WRITE = "W".charCodeAt(0);
const FLUSH = "F".charCodeAt(0);

/**
 * All records of a log, in order; block-log.c has the format. The bytes of writes are views of `log`.
 * @throws Error where it is not such a log, or ends within a record
 */
export function readBlockLog(log: Buffer): BlockRecord[] {
  const records: BlockRecord[] = [];
  for (let at = 0; at < log.length; ) {
    if (at + HEADER_BYTES > log.length) throw new Error(`block log: ends within a header at ${at}`);
    const kind = log.readUInt32LE(at);
    const length = log.readUInt32LE(at + 4);
    const offset = Number(log.readBigUInt64LE(at + 8));
    const endsAt = at + HEADER_BYTES + length;
    if (endsAt > log.length) throw new Error(`block log: ends within the record at ${at}`);
    if (kind === WRITE) {
      const bytes = log.subarray(at + HEADER_BYTES, endsAt);
      records.push({ kind: "write", endsAt, offset, bytes });
    } else if (kind === FLUSH) {
      records.push({ kind: "flush", endsAt });
    } else {
      throw new Error(`block log: no record at ${at}`);
    }
    at = endsAt;
  }
  return records;
}
