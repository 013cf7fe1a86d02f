import type { QoS } from "../mqtt/message.ts";
import { lengthBytes, PACKET, type PublishFrame, writeLength } from "../mqtt/publish-frame.ts";
import type { Channel } from "./ports.ts";

/**
 * What is to be sent to one connection in this turn of the loop; it leaves as one write at the end of the turn.
 *
 * Small packets are written one behind the other into a slab. A PUBLISH that leaves exactly as it came is not copied
 * when it is long, or when it follows its predecessor in the same chunk: a burst from one publisher to one subscriber
 * leaves as the piece of memory in which it arrived. Where the receiver is slow, everything is copied, so that no large
 * chunk is kept alive by a small piece of it. A burst that leaves with other packet identifiers is copied as one.
 */
export class Outbox {
  /** Bytes gathered in this turn. */
  bytes = 0;

  readonly #channel: Channel;
  readonly #turn: Turn;
  #parts: Buffer[] = [];
  #slabs: Buffer[] = [];
  #slab: Buffer | null = null;
  #slabFrom = 0;
  #slabAt = 0;
  /** What the last turn gathered: as much is expected of this one. */
  #expected = 0;
  #run: Buffer | null = null;
  #runStart = 0;
  #runEnd = 0;
  /** What is written over the copy of the run, four numbers a frame: where its header is and what it is to be, the same of its identifier. */
  readonly #patches: number[] = [];
  #patchCount = 0;

  constructor(channel: Channel, turn: Turn) {
    this.#channel = channel;
    this.#turn = turn;
  }

  /** Bytes that wait here or in the system's way. */
  get pendingBytes(): number {
    return this.bytes + this.#channel.pendingBytes;
  }

  /** A packet of four bytes: an acknowledgement of any kind. */
  acknowledge(header: number, packetId: number): void {
    const slab = this.#room(4);
    const at = this.#slabAt;
    slab[at] = header;
    slab[at + 1] = 2;
    slab[at + 2] = packetId >> 8;
    slab[at + 3] = packetId & 255;
    this.#slabAt = at + 4;
    this.#grew(4);
  }

  /** Whole packets as they are. */
  raw(bytes: Buffer): void {
    const slab = this.#room(bytes.length);
    bytes.copy(slab, this.#slabAt);
    this.#slabAt += bytes.length;
    this.#grew(bytes.length);
  }

  /** A PUBLISH at `qos`, which is at most that of the frame. */
  publish(
    frame: PublishFrame,
    qos: QoS,
    retain: boolean,
    duplicate: boolean,
    packetId: number,
  ): void {
    const header = (PACKET.publish << 4) | (duplicate ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
    if (qos === 0 && frame.bytes[frame.start] === header) this.#pass(frame);
    else if (qos === 0 && frame.qos !== 0) this.#withoutPacketId(frame, header);
    else this.#patched(frame, header, packetId);
  }

  /** Sends what was gathered. Called by the turn. */
  flush(): void {
    this.#endRun();
    this.#endSlabPart();
    this.#expected = Math.min(this.bytes, SLAB_BYTES);
    this.bytes = 0;
    const parts = this.#parts;
    const slabs = this.#slabs;
    this.#parts = [];
    this.#slabs = [];
    this.#slab = null;
    this.#channel.write(parts, () => {
      for (const slab of slabs) this.#turn.slabs.give(slab);
    });
  }

  #pass(frame: PublishFrame): void {
    const isWhole = this.#patchCount === 0;
    if (isWhole && this.#run === frame.bytes && this.#runEnd === frame.start) {
      this.#runEnd = frame.end;
    } else {
      this.#extendRun(frame, isWhole ? Number.POSITIVE_INFINITY : PATCHED_RUN_MAX);
    }
    this.#grew(frame.end - frame.start);
  }

  /** A burst is copied as one, and what differs is written over it: a copy costs most by being one more. */
  #patched(frame: PublishFrame, header: number, packetId: number): void {
    if (this.#patchCount >= PATCHES_MAX) this.#endRun();
    this.#extendRun(frame, PATCHED_RUN_MAX);
    const at = frame.start - this.#runStart;
    const patches = this.#patches;
    let n = this.#patchCount;
    patches[n++] = at;
    patches[n++] = header;
    patches[n++] = at + frame.topicEnd - frame.start;
    patches[n++] = packetId;
    this.#patchCount = n;
    this.#grew(frame.end - frame.start);
  }

  /** Takes the frame into the run if it follows there and the run stays within `bytesMax`, else into a new one. */
  #extendRun(frame: PublishFrame, bytesMax: number): void {
    const follows = this.#run === frame.bytes && this.#runEnd === frame.start;
    if (!follows || frame.end - this.#runStart > bytesMax) {
      this.#endRun();
      this.#run = frame.bytes;
      this.#runStart = frame.start;
    }
    this.#runEnd = frame.end;
  }

  #withoutPacketId(frame: PublishFrame, header: number): void {
    const topic = frame.topicEnd - frame.topicStart + 2;
    const length = topic + frame.end - frame.payloadStart;
    const total = 1 + lengthBytes(length) + length;
    const slab = this.#room(total);
    slab[this.#slabAt] = header;
    let at = writeLength(slab, this.#slabAt + 1, length);
    at += frame.bytes.copy(slab, at, frame.topicStart - 2, frame.topicEnd);
    at += frame.bytes.copy(slab, at, frame.payloadStart, frame.end);
    this.#slabAt = at;
    this.#grew(total);
  }

  #grew(count: number): void {
    if (this.bytes === 0) this.#turn.gathered(this);
    this.bytes += count;
  }

  /** A slab with room for `count` bytes at #slabAt. */
  #room(count: number): Buffer {
    this.#endRun();
    if (this.#slab !== null && this.#slabAt + count <= this.#slab.length) return this.#slab;
    this.#endSlabPart();
    const more = this.#slabs.length > 0;
    this.#slab = this.#turn.slabs.take(Math.max(count, more ? SLAB_BYTES : this.#expected));
    this.#slabs.push(this.#slab);
    this.#slabFrom = 0;
    this.#slabAt = 0;
    return this.#slab;
  }

  #endSlabPart(): void {
    if (this.#slab === null || this.#slabAt === this.#slabFrom) return;
    this.#parts.push(this.#slab.subarray(this.#slabFrom, this.#slabAt));
    this.#slabFrom = this.#slabAt;
  }

  #endRun(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    const length = this.#runEnd - this.#runStart;
    const isWhole = this.#patchCount === 0;
    if (isWhole && length >= PASS_BYTES_MIN && this.#channel.pendingBytes === 0) {
      this.#endSlabPart();
      this.#parts.push(run.subarray(this.#runStart, this.#runEnd));
      return;
    }
    const slab = this.#room(length);
    run.copy(slab, this.#slabAt, this.#runStart, this.#runEnd);
    this.#patch(slab, this.#slabAt);
    this.#slabAt += length;
  }

  #patch(slab: Buffer, runAt: number): void {
    const patches = this.#patches;
    for (let n = 0; n < this.#patchCount; n += 4) {
      slab[runAt + (patches[n] as number)] = patches[n + 1] as number;
      const packetId = patches[n + 3] as number;
      if (packetId === 0) continue;
      const idAt = runAt + (patches[n + 2] as number);
      slab[idAt] = packetId >> 8;
      slab[idAt + 1] = packetId & 255;
    }
    this.#patchCount = 0;
  }
}

/** Below this a copy costs less than one more part of a write. */
const PASS_BYTES_MIN = 4096;
/** A run that is copied: beyond this the rest of a slab would often be too short for it. */
const PATCHED_RUN_MAX = 8192;
/** Four a frame: each connection keeps room for them. */
const PATCHES_MAX = 4 * 32;
const SLAB_BYTES = 65_536;
const SLABS_KEPT_MAX = 64;
/** Enough for the acknowledgements of a turn: a hundred publishers must not take a hundred slabs for four bytes each. */
const SMALL_BYTES = 1024;
const SMALL_KEPT_MAX = 512;

/** One turn of the loop: who has gathered something to send. */
export class Turn {
  readonly slabs = new Slabs();
  readonly #afterTurn: (task: () => void) => void;
  #outboxes: Outbox[] = [];

  constructor(afterTurn: (task: () => void) => void) {
    this.#afterTurn = afterTurn;
  }

  gathered(outbox: Outbox): void {
    if (this.#outboxes.length === 0) this.#afterTurn(() => this.flush());
    this.#outboxes.push(outbox);
  }

  flush(): void {
    const outboxes = this.#outboxes;
    this.#outboxes = [];
    for (const outbox of outboxes) outbox.flush();
  }
}

/** Memory for what is being sent, used again and again. */
class Slabs {
  readonly #free: Buffer[] = [];
  readonly #small: Buffer[] = [];

  /** A slab for what is expected: the next size up, or just as large when none is large enough. */
  take(bytesMin: number): Buffer {
    if (bytesMin <= SMALL_BYTES) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
    if (bytesMin > SLAB_BYTES) return Buffer.allocUnsafeSlow(bytesMin);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  give(slab: Buffer): void {
    if (slab.length === SLAB_BYTES && this.#free.length < SLABS_KEPT_MAX) this.#free.push(slab);
    if (slab.length === SMALL_BYTES && this.#small.length < SMALL_KEPT_MAX) this.#small.push(slab);
  }
}
