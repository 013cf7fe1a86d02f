const LINE_FEED = 0x0a;
const RETURN = 0x0d;
/** A longer piece is no frame of any board. */
const PIECE_BYTES_MAX = 4096;
/** Frames that have been sent and not been found; the oldest is lost then. More than a send buffer holds of frames of one byte. */
const SENT_MAX = 1024;

/**
 * What a receiver that obeys docs/frame.md finds on a cable: the pieces between delimiters, each a frame of the board or none. Damage
 * between two frames harms neither: a delimiter that came twice, one that was lost where the next frame begins with another. Only
 * whoever looks at the bytes that left can tell.
 */
export class Hearing {
  /** Between two delimiters there was something, and whoever was connected has found a frame or refused one. */
  pieces = 0;
  /** Pieces that are a frame as the firmware meant it. */
  intact = 0;
  readonly #delimiter: number;
  readonly #found: (n: number) => void;
  #piece: number[] = [];
  #sent: { readonly n: number; readonly body: Buffer }[] = [];

  /** @param delimiter line feed, before which a carriage return means nothing, or 0 as in COBS */
  constructor(delimiter: number, found: (n: number) => void) {
    this.#delimiter = delimiter;
    this.#found = found;
  }

  /** The firmware means this frame; its bytes, or what faults make of them, follow. */
  expect(n: number, frame: Uint8Array): void {
    const start = frame[0] === this.#delimiter ? 1 : 0;
    this.#sent.push({ n, body: Buffer.from(this.#stripped(frame.subarray(start, -1))) });
    if (this.#sent.length > SENT_MAX) this.#sent.shift();
  }

  /** Bytes that left and that somebody took. */
  hear(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === this.#delimiter) this.#complete();
      else if (this.#piece.length < PIECE_BYTES_MAX) this.#piece.push(byte);
    }
  }

  /** Nobody listens any more: what was begun counts, and is no frame. */
  end(): void {
    if (this.#piece.length > 0) this.pieces += 1;
    this.#piece = [];
  }

  #complete(): void {
    const body = this.#stripped(Uint8Array.from(this.#piece));
    this.#piece = [];
    if (body.length === 0) return;
    this.pieces += 1;
    const at = this.#sent.findIndex((each) => each.body.equals(body));
    if (at === -1) return;
    const [found] = this.#sent.splice(0, at + 1).slice(-1);
    this.intact += 1;
    if (found !== undefined) this.#found(found.n);
  }

  #stripped(piece: Uint8Array): Uint8Array {
    const returns = this.#delimiter === LINE_FEED && piece[piece.length - 1] === RETURN;
    return returns ? piece.subarray(0, -1) : piece;
  }
}
