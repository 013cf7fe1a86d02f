import type { OnReadOpts, Socket } from "node:net";
import { Duplex } from "node:stream";
import { FieldgateError } from "../base/errors.ts";
import { FRAME, FrameReader, MORE, TOO_LONG } from "../mqtt/frame.ts";
import { PassingOver, type PublishHead } from "./passing-over.ts";

export interface CloudStreamOptions {
  /** The longest packet that is taken; the key of the configuration that says so. */
  readonly bytesMax: number;
  readonly key: string;
  /** Whether a packet is dealt with, or thrown away: the package does not get to see it. */
  readonly takes: (frame: FrameReader) => boolean;
  /** Is told of each PUBLISH that is too long, after it has come and was thrown away. Left out: such a one ends the stream. */
  readonly passesOver?: (head: PublishHead) => void;
  /** Asked after each read: resolves when the next one may be; null for at once. */
  readonly rests?: () => Promise<void> | null;
}

/**
 * A socket to the cloud as the package `mqtt` is to see it.
 *
 *   socket ──▶ packets ──▶ those that are taken off
 *                      └──▶ all others: to the package
 *
 * The package makes an object of twenty fields of each packet and a turn of the event loop for each of them, and gathers
 * packets of any announced length. What comes by the thousand is taken off here, and a longer packet than `bytesMax`, or what
 * is none, ends the stream with ERR_UPLINK_PROTOCOL, unless it may be passed over.
 */
export class CloudStream extends Duplex {
  readonly socket: Socket;
  readonly #options: CloudStreamOptions;
  readonly #frames: FrameReader;
  #passing: PassingOver | null = null;
  #isHeld = false;
  #isFull = false;
  #isResting = false;

  /** @param open begins to connect, with what takes the bytes that come */
  constructor(open: (onread: OnReadOpts) => Socket, options: CloudStreamOptions) {
    super({ allowHalfOpen: false });
    this.#options = options;
    this.#frames = new FrameReader(options.bytesMax);
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (count: number) => {
      this.#split(buffer.subarray(0, count));
      this.#rest();
      return true;
    };
    const socket = open({ buffer, callback });
    this.socket = socket;
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  /** While it is held nothing more is read: the other side feels it as a full line. */
  set isHeld(isHeld: boolean) {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    this.#flow();
  }

  override _read(): void {
    this.#isFull = false;
    this.#flow();
  }

  // What the package writes is handed on at once and in one piece, so that no packet of ours gets between its pieces.
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.socket.write(chunk);
    done();
  }

  override _writev(pieces: { readonly chunk: Buffer }[], done: () => void): void {
    this.socket.write(Buffer.concat(pieces.map(({ chunk }) => chunk)));
    done();
  }

  override _final(done: () => void): void {
    this.socket.end();
    done();
  }

  /** Over when the socket is gone. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.socket.closed) {
      done(error);
      return;
    }
    this.socket.once("close", () => done(error));
    this.socket.destroy();
  }

  #rest(): void {
    const rest = this.#options.rests?.() ?? null;
    if (rest === null || this.#isResting) return;
    this.#isResting = true;
    this.#flow();
    void rest.then(() => {
      this.#isResting = false;
      this.#flow();
    });
  }

  #flow(): void {
    if (this.#isHeld || this.#isFull || this.#isResting) this.socket.pause();
    else this.socket.resume();
  }

  #split(chunk: Buffer): void {
    const frames = this.#frames;
    let more: Buffer | null = this.#passing === null ? chunk : this.#passOver(this.#passing, chunk);
    while (more !== null) {
      frames.push(more);
      more = this.#next();
    }
  }

  /** Up to the end of what has come, or to a packet that is passed over: then what lies behind it. */
  #next(): Buffer | null {
    const frames = this.#frames;
    while (!this.destroyed) {
      const found = frames.next();
      if (found === MORE) return null;
      if (found === TOO_LONG && this.#options.passesOver !== undefined) {
        const rest = frames.drop();
        if (PassingOver.can(rest[0] as number))
          return this.#passOver(new PassingOver(frames), rest);
      }
      if (found !== FRAME) {
        this.destroy(this.#faultOf(found === TOO_LONG));
        return null;
      }
      if (!this.#options.takes(frames)) this.#handOn(frames);
    }
    return null;
  }

  #passOver(passing: PassingOver, chunk: Buffer): Buffer | null {
    const rest = passing.take(chunk);
    this.#passing = rest === null ? passing : null;
    if (rest === null) return null;
    const head = passing.read();
    if (head === null) this.destroy(this.#faultOf(false));
    else this.#options.passesOver?.(head);
    return this.destroyed ? null : rest;
  }

  #handOn({ bytes, start, end }: FrameReader): void {
    this.#isFull = !this.push(Buffer.from(bytes.subarray(start, end)));
    if (this.#isFull) this.#flow();
  }

  #faultOf(isTooLong: boolean): FieldgateError {
    const { key, bytesMax } = this.#options;
    const message = isTooLong
      ? `the cloud sent a packet that is longer than ${key}`
      : "the cloud sent what is no MQTT";
    return new FieldgateError("ERR_UPLINK_PROTOCOL", message, { details: { bytesMax } });
  }
}

/** Some thousand acknowledgements. */
const READ_BYTES = 16 * 1024;
