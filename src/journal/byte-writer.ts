/** Bytes up to which a copy by hand is no slower. */
const BY_HAND_MAX = 96;

/** A buffer that grows and is used again: what gathers for a commit is encoded straight into it. */
export class ByteWriter {
  buffer: Buffer;
  length = 0;

  constructor(bytes = 256) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** Makes room for `bytes` more. Whoever writes past what it reserved corrupts nothing but itself. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  u8(value: number): void {
    this.buffer[this.length++] = value;
  }

  /** LEB128 of a whole number in [0, 2^53): at most 8 bytes, which must have been reserved. */
  varint(value: number): void {
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.buffer[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.length++] = rest;
  }

  bytes(source: Uint8Array): void {
    this.buffer.set(source, this.length);
    this.length += source.length;
  }

  /** A piece of something longer. By hand while it is short: any copy of a piece makes a view of it, which is garbage. */
  piece(source: Buffer, from: number, to: number): void {
    if (to - from <= BY_HAND_MAX) this.#byHand(source, from, to);
    else this.length += source.copy(this.buffer, this.length, from, to);
  }

  /** Text as UTF-8 behind its length. The copy by hand is for topics: short, and nearly always ASCII. */
  text(text: string): void {
    const units = text.length;
    this.reserve(units * 3 + 8);
    if (units < 128 && this.#ascii(text, this.length + 1)) {
      this.buffer[this.length] = units;
      this.length += units + 1;
      return;
    }
    const bytes = Buffer.byteLength(text);
    this.varint(bytes);
    this.length += this.buffer.write(text, this.length, bytes, "utf8");
  }

  copy(): Buffer {
    const bytes = Buffer.allocUnsafeSlow(this.length);
    this.buffer.copy(bytes, 0, 0, this.length);
    return bytes;
  }

  /** Eight at a time: as fast as `copy` is at BY_HAND_MAX. */
  #byHand(source: Buffer, from: number, to: number): void {
    const { buffer } = this;
    let at = this.length;
    let i = from;
    for (; i + 8 <= to; i += 8, at += 8) {
      buffer[at] = source[i] as number;
      buffer[at + 1] = source[i + 1] as number;
      buffer[at + 2] = source[i + 2] as number;
      buffer[at + 3] = source[i + 3] as number;
      buffer[at + 4] = source[i + 4] as number;
      buffer[at + 5] = source[i + 5] as number;
      buffer[at + 6] = source[i + 6] as number;
      buffer[at + 7] = source[i + 7] as number;
    }
    for (; i < to; i++) buffer[at++] = source[i] as number;
    this.length = at;
  }

  #ascii(text: string, at: number): boolean {
    const buffer = this.buffer;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      buffer[at + i] = unit;
    }
    return true;
  }
}
