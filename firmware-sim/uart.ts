/** What one call of the pacing timer can be late; more is not made up for, so that the line is never faster than its rate. */
const LATE_MS_MAX = 50;
const SEND_BUFFER_BYTES = 512;

/** How bytes left that were sent together. */
export interface Left {
  /** taken: all of them left, and somebody took them. untaken: nobody did. cut: they never left, all or in part. */
  readonly end: "taken" | "untaken" | "cut";
}

interface Piece {
  readonly bytes: Uint8Array;
  sent: number;
  taken: boolean;
  readonly left: (how: Left) => void;
}

/**
 * A UART with its send buffer: bytes leave at the true rate of the line, ten bits each (8N1).
 * `write` says whether somebody took them.
 */
export class Uart {
  readonly #bytesPerMs: number;
  readonly #write: (bytes: Uint8Array) => boolean;
  #pieces: Piece[] = [];
  #length = 0;
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
    return this.#length === 0 || this.#length + bytes <= SEND_BUFFER_BYTES;
  }

  isIdle(): boolean {
    return this.#length === 0;
  }

  /** @param left called once: when the last of the bytes has left, or when they never will */
  send(bytes: Uint8Array, left: (how: Left) => void = () => {}): void {
    if (bytes.length === 0) {
      left({ end: "taken" });
      return;
    }
    this.#pieces.push({ bytes, sent: 0, taken: true, left });
    this.#length += bytes.length;
  }

  /** The supply failed: what was not sent yet never will be. */
  cut(): void {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#length = 0;
    for (const { left } of pieces) left({ end: "cut" });
  }

  /** Puts on the cable what the rate allows since the last call. */
  run(nowMs: number): void {
    this.#credit += Math.min(nowMs - this.#lastMs, LATE_MS_MAX) * this.#bytesPerMs;
    this.#lastMs = nowMs;
    const count = Math.min(Math.floor(this.#credit), this.#length);
    if (count > 0) this.#put(count);
    // An idle line saves nothing up, beyond the fraction of a byte.
    this.#credit = this.#length === 0 ? Math.min(this.#credit - count, 1) : this.#credit - count;
  }

  #put(count: number): void {
    const all = Buffer.concat(this.#pieces.map(({ bytes, sent }) => bytes.subarray(sent)));
    const bytes = all.subarray(0, count);
    const taken = this.#write(bytes);
    if (taken) this.sentBytes += count;
    else this.lostBytes += count;
    this.#length -= count;
    for (let rest = count; rest > 0; ) {
      const piece = this.#pieces[0] as Piece;
      const part = Math.min(rest, piece.bytes.length - piece.sent);
      piece.sent += part;
      piece.taken &&= taken;
      rest -= part;
      if (piece.sent < piece.bytes.length) break;
      this.#pieces.shift();
      piece.left({ end: piece.taken ? "taken" : "untaken" });
    }
  }
}
