/**
 * Splits a byte stream into MQTT control packets (MQTT 3.1.1, section 2.2): one byte of type and flags, a length of
 * one to four bytes, the body.
 *
 * Frames that lie whole in a chunk are pointed at, not copied. A frame that spans chunks is gathered in a buffer that
 * grows with what has come, not with what was announced; a frame longer than `bytesMax` is refused from its header.
 */

/** What `next` found. */
export const FRAME = 1;
export const MORE = 0;
export const MALFORMED = -1;
export const TOO_LONG = -2;
export type Found = typeof FRAME | typeof MORE | typeof MALFORMED | typeof TOO_LONG;

const GROWTH_BYTES_MIN = 4096;

export class FrameReader {
  /** The longest frame that is taken, header included. May change between frames. */
  bytesMax: number;

  /** The frame found last: `bytes[start]` is its header, its body runs from `bodyStart` to before `end`. */
  bytes: Buffer = NOTHING;
  start = 0;
  bodyStart = 0;
  end = 0;

  #chunk: Buffer = NOTHING;
  #at = 0;
  /** The beginning of a frame whose end has not come: `#gathered[0 .. #filled)`. */
  #gathered: Buffer | null = null;
  #filled = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Hands over what has come. Only after `next` said MORE. The chunk must not be changed afterwards. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Looks for the next frame. After FRAME the fields above describe it until the next call. */
  next(): Found {
    if (this.#gathered !== null) return this.#nextGathered();
    const chunk = this.#chunk;
    const start = this.#at;
    const found = this.#measure(chunk, start, chunk.length);
    if (found < 0) return found;
    if (found === MORE || this.end > chunk.length) {
      if (start < chunk.length) this.#gather(chunk, start);
      this.#release();
      return MORE;
    }
    this.bytes = chunk;
    this.start = start;
    this.#at = this.end;
    return FRAME;
  }

  /**
   * After TOO_LONG: all that has come from the header of that frame on, with `bodyStart` and `end` counted from there. The next
   * frame begins with what is pushed next.
   */
  drop(): Buffer {
    const rest = this.#chunk.subarray(this.#at);
    let all = rest;
    if (this.#gathered === null) {
      this.bodyStart -= this.#at;
      this.end -= this.#at;
    } else all = Buffer.concat([this.#gathered.subarray(0, this.#filled), rest]);
    this.#gathered = null;
    this.#filled = 0;
    this.#release();
    return all;
  }

  /** Bytes that are kept for a frame whose end has not come. */
  get gatheredBytes(): number {
    return this.#filled;
  }

  /** Sets bodyStart and end from the header at `start`, as far as it lies before `limit`. */
  #measure(bytes: Buffer, start: number, limit: number): Found {
    let length = 0;
    let at = start + 1;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= limit) return MORE;
      const byte = bytes[at++] as number;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.bodyStart = at;
        this.end = at + length;
        return this.end - start > this.bytesMax ? TOO_LONG : FRAME;
      }
    }
    return MALFORMED;
  }

  #gather(chunk: Buffer, start: number): void {
    const count = chunk.length - start;
    this.#gathered = Buffer.allocUnsafe(Math.max(64, count));
    chunk.copy(this.#gathered, 0, start);
    this.#filled = count;
  }

  #nextGathered(): Found {
    for (;;) {
      const gathered = this.#gathered as Buffer;
      const found = this.#measure(gathered, 0, this.#filled);
      if (found < 0) return found;
      const wanted = found === MORE ? this.#filled + 1 : this.end;
      if (found === FRAME && this.#filled === this.end) return this.#takeGathered(gathered);
      const count = Math.min(wanted - this.#filled, this.#chunk.length - this.#at);
      if (count === 0) {
        this.#release();
        return MORE;
      }
      this.#grow(this.#filled + count, wanted);
      this.#chunk.copy(this.#gathered as Buffer, this.#filled, this.#at, this.#at + count);
      this.#filled += count;
      this.#at += count;
    }
  }

  #takeGathered(gathered: Buffer): Found {
    this.bytes = gathered;
    this.start = 0;
    this.#gathered = null;
    this.#filled = 0;
    return FRAME;
  }

  #grow(needed: number, wanted: number): void {
    const gathered = this.#gathered as Buffer;
    if (needed <= gathered.length) return;
    const size = Math.max(needed, Math.min(wanted, gathered.length * 2 + GROWTH_BYTES_MIN));
    this.#gathered = Buffer.allocUnsafe(size);
    gathered.copy(this.#gathered, 0, 0, this.#filled);
  }

  /** Lets go of a chunk that was used up, so that an idle connection keeps no memory alive. */
  #release(): void {
    this.#chunk = NOTHING;
    this.#at = 0;
    this.bytes = NOTHING;
  }
}

const NOTHING = Buffer.alloc(0);
