import { crc32 } from "node:zlib";
import { CLOCK_QUALITIES, type ClockQuality, type EntryTime } from "../base/timepiece.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { ByteReader } from "./byte-reader.ts";
import type { Entry } from "./journal.ts";

/**
 * A block: the entries of one commit under one key. docs/journal-format.md has it to the byte.
 *
 *      0  u16 magic "FG"    8  u64 first seq    24  u16 lanes of its entries   34  u48 bytes of all blocks before
 *      2  u8  version      16  u32 count        26  u16 lanes ever used        40  u32 seqs skipped before it
 *      3  u8  flags        20  u32 body length  28  u48 wall ms of entry 1     44  entries, then lane totals,
 *      4  u32 CRC-32 of everything else                                             then, with flag 1, the stamp
 */
export const BLOCK_MAGIC = 0x4647;
export const BLOCK_VERSION = 1;
export const BLOCK_HEADER_BYTES = 44;
export const LANES = 16;
/** Flag: the block ends with a stamp. A program that knows none passes it by. */
export const STAMPED = 1;
/** Flag: what was left out before the block is counted in units of 2^24. */
export const FAR_SKIP = 2;
export const SKIP_UNIT = 2 ** 24;
/** u8 quality of the clock, u48 ms since the start of the machine at entry 1, 16 bytes boot id. */
export const STAMP_BYTES = 23;

/** When the first entry of a block was accepted, by the machine's monotonic clock, and what the wall clock was worth then. */
export interface BlockStamp {
  readonly bootId: string;
  readonly bootMs: number;
  readonly quality: ClockQuality;
}

export interface Block {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Seqs that were left out on purpose before the first one. */
  readonly skipped: number;
  /** Bytes of all blocks that were ever written before this one. */
  readonly bytesBefore: number;
  /** Bit n: there is an entry of lane n. */
  readonly lanes: number;
  readonly baseWallMs: number;
  /** Its entries were given up when the store was full: it only says what seqs they had. */
  readonly isHollow: boolean;
  readonly value: Buffer;
}

/** The block in `value`, or null when it is not, to the bit, the one that was written under `firstSeq`. */
export function openBlock(value: Buffer, firstSeq: number): Block | null {
  if (value.length < BLOCK_HEADER_BYTES) return null;
  if (value.readUInt16BE(0) !== BLOCK_MAGIC || value[2] !== BLOCK_VERSION) return null;
  if (value.readUInt32BE(4) !== blockChecksum(value, value.length)) return null;
  const block = describeBlock(value);
  return block.firstSeq === firstSeq ? block : null;
}

/** The block in a value that is known to be good. */
export function describeBlock(value: Buffer): Block {
  const firstSeq = value.readUInt32BE(8) * 2 ** 32 + value.readUInt32BE(12);
  return {
    firstSeq,
    lastSeq: firstSeq + value.readUInt32BE(16) - 1,
    skipped: value.readUInt32BE(40) * (((value[3] ?? 0) & FAR_SKIP) === 0 ? 1 : SKIP_UNIT),
    bytesBefore: value.readUIntBE(34, 6),
    lanes: value.readUInt16BE(24),
    baseWallMs: value.readUIntBE(28, 6),
    isHollow: value.readUInt32BE(20) === 0,
    value,
  };
}

/** Null for a block that was written without a timepiece. */
export function stampOf({ value }: Block): BlockStamp | null {
  const at = value.length - STAMP_BYTES;
  if (((value[3] ?? 0) & STAMPED) === 0 || at < BLOCK_HEADER_BYTES) return null;
  return {
    quality: CLOCK_QUALITIES[value[at] ?? 0] ?? "unset",
    bootMs: value.readUIntBE(at + 1, 6),
    bootId: value.toString("hex", at + 7),
  };
}

/** The value of a block without its entries. */
export function hollowBlock({ value }: Block): Buffer {
  const totals = BLOCK_HEADER_BYTES + value.readUInt32BE(20);
  const header = value.subarray(0, BLOCK_HEADER_BYTES);
  const hollow = Buffer.concat([header, value.subarray(totals)]);
  hollow.writeUInt32BE(0, 20);
  hollow.writeUInt16BE(0, 24);
  hollow.writeUInt32BE(blockChecksum(hollow, hollow.length), 4);
  return hollow;
}

export function blockChecksum(bytes: Buffer, length: number): number {
  return crc32(bytes.subarray(8, length), crc32(bytes.subarray(0, 4)));
}

/** Bytes of the entries of a block. */
export function entryBytesOf(block: Block): number {
  return block.value.readUInt32BE(20);
}

/** Entries that each lane has taken since the journal began, this block included. */
export function laneTotalsOf(block: Block): number[] {
  const { value } = block;
  const used = value.readUInt16BE(26);
  const reader = new ByteReader(value, BLOCK_HEADER_BYTES + entryBytesOf(block));
  return Array.from({ length: LANES }, (_, lane) => (used & (1 << lane) ? reader.varint() : 0));
}

/** Entries that the journal has taken up to and with this block. */
export function entriesThrough(block: Block): number {
  return laneTotalsOf(block).reduce((sum, total) => sum + total, 0);
}

/** Entries that a lane had taken before this block; null where the block does not tell any more. */
export function laneCountBefore(block: Block, lane: number): number | null {
  if (block.isHollow) return null;
  let own = 0;
  for (const walk = new EntryWalk(block); walk.next(); ) if (walk.lane === lane) own++;
  return (laneTotalsOf(block)[lane] ?? 0) - own;
}

/** Walks the entries of a block, and decodes only those that are asked for. */
export class EntryWalk {
  readonly #block: Block;
  readonly #reader: ByteReader;
  readonly #time: EntryTime | null;
  #position = -1;
  #flags = 0;
  #wallOffset = 0;
  #topicEnd = 0;
  #topicBytes = 0;
  #propertyEnd = 0;
  #propertyBytes = 0;
  #payloadBytes = 0;

  constructor(block: Block, time: EntryTime | null = null) {
    this.#block = block;
    this.#time = time;
    this.#reader = new ByteReader(block.value, BLOCK_HEADER_BYTES);
  }

  /** Place of the current entry in the block, from 0. */
  get position(): number {
    return this.#position;
  }
  get seq(): number {
    return this.#block.firstSeq + this.#position;
  }
  get lane(): number {
    return this.#flags >> 4;
  }
  /** Bytes of topic, properties and payload. */
  get bytes(): number {
    return this.#topicBytes + this.#propertyBytes + this.#payloadBytes;
  }

  /** Steps to the next entry; false behind the last one. */
  next(): boolean {
    if (this.seq >= this.#block.lastSeq || this.#block.isHollow) return false;
    const reader = this.#reader;
    this.#position++;
    this.#flags = reader.bytes[reader.at++] ?? 0;
    this.#wallOffset = reader.varint();
    this.#topicBytes = reader.varint();
    this.#topicEnd = reader.at + this.#topicBytes;
    reader.at = this.#topicEnd;
    this.#propertyBytes = this.#flags & 8 ? reader.varint() : 0;
    this.#propertyEnd = reader.at + this.#propertyBytes;
    reader.at = this.#propertyEnd;
    this.#payloadBytes = reader.varint();
    reader.at += this.#payloadBytes;
    return true;
  }

  /** The current entry. Its payload is a view of the block: who keeps it for long keeps the block. */
  entry(): Entry {
    const { value } = this.#block;
    const end = this.#reader.at;
    const odd = this.#wallOffset % 2;
    const message: Message = {
      topic: value.toString("utf8", this.#topicEnd - this.#topicBytes, this.#topicEnd),
      payload: value.subarray(end - this.#payloadBytes, end),
      qos: (this.#flags & 3) as QoS,
      retain: (this.#flags & 4) !== 0,
      properties:
        this.#flags & 8
          ? value.subarray(this.#propertyEnd - this.#propertyBytes, this.#propertyEnd)
          : null,
    };
    const offsetMs = odd ? -(this.#wallOffset + 1) / 2 : this.#wallOffset / 2;
    return {
      seq: this.seq,
      lane: this.lane,
      wallMs: this.#block.baseWallMs + offsetMs,
      time: this.#time,
      message,
    };
  }
}
