/** Bytes of a frame's header: two, the length's own, and those of the mask (RFC 6455, section 5.2). */
const HEAD_BYTES = 2;
const MASK_BYTES = 4;
const LENGTH_BYTES: Readonly<Record<number, number>> = { 126: 2, 127: 8 };
/** From here on opcodes are of frames that may come between the pieces of a message. */
const CONTROL = 8;

/**
 * Follows the frames of a WebSocket, to know whether a message has begun and not ended. It judges nothing: what is malformed is
 * found by the one who reads the messages.
 */
export class WsFrameEnds {
  readonly #head: number[] = [];
  /** Of the frame whose header was read. */
  #bytesLeft = 0;
  #isMessageOpen = false;

  /** Whether what came so far ends within a frame, or within a message of several. */
  get isOpen(): boolean {
    return this.#isMessageOpen || this.#bytesLeft > 0 || this.#head.length > 0;
  }

  take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#bytesLeft > 0) {
        const skipped = Math.min(this.#bytesLeft, chunk.length - at);
        this.#bytesLeft -= skipped;
        at += skipped;
      } else {
        this.#head.push(chunk[at++] as number);
        if (this.#head.length >= HEAD_BYTES && this.#head.length === this.#headBytes())
          this.#begin();
      }
    }
  }

  #headBytes(): number {
    const length = this.#head[1] as number;
    return HEAD_BYTES + (LENGTH_BYTES[length & 0x7f] ?? 0) + (length & 0x80 ? MASK_BYTES : 0);
  }

  #begin(): void {
    const [first = 0, second = 0] = this.#head;
    const length = second & 0x7f;
    const own = this.#head.slice(HEAD_BYTES, HEAD_BYTES + (LENGTH_BYTES[length] ?? 0));
    this.#bytesLeft = own.length === 0 ? length : own.reduce((sum, byte) => sum * 256 + byte, 0);
    if ((first & 0x0f) < CONTROL) this.#isMessageOpen = (first & 0x80) === 0;
    this.#head.length = 0;
  }
}
