import { CLOCK_QUALITIES } from "../base/timepiece.ts";
import type { Message } from "../mqtt/message.ts";
import { PublishFrame, payloadBytesOf } from "../mqtt/publish-frame.ts";
import {
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC,
  BLOCK_VERSION,
  type Block,
  type BlockStamp,
  blockChecksum,
  describeBlock,
  FAR_SKIP,
  LANES,
  SKIP_UNIT,
  STAMP_BYTES,
  STAMPED,
} from "./block.ts";
import { ByteWriter } from "./byte-writer.ts";

const WALL_MS_MAX = 2 ** 48 - 1;

/** Encodes messages as they come; `seal` makes a block of them and begins the next one in the same memory. */
export class BlockWriter {
  readonly #out = new ByteWriter(64 * 1024);
  #count = 0;
  #lanes = 0;
  #baseWallMs = 0;

  constructor() {
    this.#out.length = BLOCK_HEADER_BYTES;
  }

  get count(): number {
    return this.#count;
  }
  /** Bytes that the block has now; 0 without entries. */
  get bytes(): number {
    return this.#count === 0 ? 0 : this.#out.length;
  }

  /** Adds an entry. This is the hot path of the gateway: no closure, no promise, no object. */
  add(message: Message, lane: number, wallMs: number): void {
    const out = this.#out;
    const { properties } = message;
    const payloadBytes = payloadBytesOf(message);
    out.reserve(payloadBytes + (properties === null ? 0 : properties.length) + 40);
    if (this.#count === 0)
      this.#baseWallMs = Math.min(Math.max(Math.floor(wallMs), 0), WALL_MS_MAX);
    out.u8(message.qos | (message.retain ? 4 : 0) | (properties === null ? 0 : 8) | (lane << 4));
    const offsetMs = Math.floor(wallMs) - this.#baseWallMs;
    out.varint(offsetMs < 0 ? -offsetMs * 2 - 1 : offsetMs * 2);
    out.text(message.topic);
    out.reserve(payloadBytes + (properties === null ? 0 : properties.length) + 16);
    if (properties !== null) {
      out.varint(properties.length);
      out.bytes(properties);
    }
    out.varint(payloadBytes);
    if (message instanceof PublishFrame)
      out.piece(message.bytes, message.payloadStart, message.end);
    else out.bytes(message.payload);
    this.#lanes |= 1 << lane;
    this.#count++;
  }

  /**
   * The block of what was added. There must be something.
   * @param skipped beyond u32 a multiple of SKIP_UNIT
   * @param laneTotals entries of each lane up to and with this block
   * @param stamp of its first entry; null where nobody keeps the time
   */
  seal(
    firstSeq: number,
    skipped: number,
    bytesBefore: number,
    laneTotals: readonly number[],
    stamp: BlockStamp | null = null,
  ): Block {
    const out = this.#out;
    const bodyBytes = out.length - BLOCK_HEADER_BYTES;
    out.reserve(LANES * 8 + STAMP_BYTES);
    let used = 0;
    for (let lane = 0; lane < LANES; lane++) {
      const total = laneTotals[lane] ?? 0;
      if (total === 0) continue;
      used |= 1 << lane;
      out.varint(total);
    }
    if (stamp !== null) out.length += STAMP_BYTES;
    const value = out.copy();
    if (stamp !== null) writeStamp(value, stamp);
    value.writeUInt16BE(BLOCK_MAGIC, 0);
    value[2] = BLOCK_VERSION;
    const isFar = skipped >= 2 ** 32;
    value[3] = (stamp === null ? 0 : STAMPED) | (isFar ? FAR_SKIP : 0);
    value.writeUInt32BE(Math.floor(firstSeq / 2 ** 32), 8);
    value.writeUInt32BE(firstSeq % 2 ** 32, 12);
    value.writeUInt32BE(this.#count, 16);
    value.writeUInt32BE(bodyBytes, 20);
    value.writeUInt16BE(this.#lanes, 24);
    value.writeUInt16BE(used, 26);
    value.writeUIntBE(this.#baseWallMs, 28, 6);
    value.writeUIntBE(bytesBefore, 34, 6);
    value.writeUInt32BE(isFar ? skipped / SKIP_UNIT : skipped, 40);
    value.writeUInt32BE(blockChecksum(value, value.length), 4);
    out.length = BLOCK_HEADER_BYTES;
    this.#count = 0;
    this.#lanes = 0;
    return describeBlock(value);
  }
}

function writeStamp(value: Buffer, { quality, bootMs, bootId }: BlockStamp): void {
  const at = value.length - STAMP_BYTES;
  value[at] = CLOCK_QUALITIES.indexOf(quality);
  value.writeUIntBE(Math.floor(bootMs), at + 1, 6);
  value.write(bootId, at + 7, "hex");
}
