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
