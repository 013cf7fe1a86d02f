/** What one call of the pacing timer can be late; more is not made up for, so that the line is never faster than its rate. */
const LATE_MS_MAX = 50;
const SEND_BUFFER_BYTES = 512;

/**
 * A UART with its send buffer: bytes leave at the true rate of the line, ten bits each (8N1).
 * `write` says whether somebody took them.
 */
export class Uart {
  readonly #bytesPerMs: number;
  readonly #write: (bytes: Uint8Array) => boolean;
  #buffer = new Uint8Array(0);
  #lastMs: number;
  #credit = 0;
  /** Bytes on the cable. */
  sentBytes = 0;
  /** Bytes that left and nobody took. */
  lostBytes = 0;

  constructor(baudRate: number, nowMs: number, write: (bytes: Uint8Array) => boolean) {
    this.#bytesPerMs = baudRate / 10 / 1000;
    this.#lastMs = nowMs;
    this.#write = write;
  }

  /** False when the send buffer has no room: the firmware has to wait. A frame longer than the buffer goes in when it is empty. */
  hasRoomFor(bytes: number): boolean {
    return this.#buffer.length === 0 || this.#buffer.length + bytes <= SEND_BUFFER_BYTES;
  }

  isIdle(): boolean {
    return this.#buffer.length === 0;
  }

  send(bytes: Uint8Array): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
  }

  /** The supply failed: what was not sent yet never will be. */
  cut(): void {
    this.#buffer = new Uint8Array(0);
  }

  /** Puts on the cable what the rate allows since the last call. */
  run(nowMs: number): void {
    this.#credit += Math.min(nowMs - this.#lastMs, LATE_MS_MAX) * this.#bytesPerMs;
    this.#lastMs = nowMs;
    const count = Math.min(Math.floor(this.#credit), this.#buffer.length);
    if (count > 0) {
      const bytes = this.#buffer.subarray(0, count);
      this.#buffer = this.#buffer.subarray(count);
      if (this.#write(bytes)) this.sentBytes += count;
      else this.lostBytes += count;
    }
    // An idle line saves nothing up, beyond the fraction of a byte.
    this.#credit =
      this.#buffer.length === 0 ? Math.min(this.#credit - count, 1) : this.#credit - count;
  }
}
