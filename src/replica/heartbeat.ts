import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import { FRAME, frameOf } from "./frames.ts";
import type { Channel } from "./ports.ts";

const PING = frameOf(FRAME.ping);

/** Says that we are here, and notices when the other side does not any more. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #channel: Channel;
  readonly #silenceMsMax: number;
  readonly #silent: (error: FieldgateError) => void;
  #heardMs: number;
  #beatMs: number;
  #stop: () => void = () => {};

  constructor(
    clock: Clock,
    channel: Channel,
    silenceMsMax: number,
    silent: (error: FieldgateError) => void,
  ) {
    this.#clock = clock;
    this.#channel = channel;
    this.#silenceMsMax = silenceMsMax;
    this.#silent = silent;
    this.#heardMs = clock.monotonicMs();
    this.#beatMs = this.#heardMs;
  }

  start(): void {
    this.#stop = this.#clock.every(this.#silenceMsMax / 5, () => this.#beat());
  }

  stop(): void {
    this.#stop();
  }

  /** Something has come. */
  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  #beat(): void {
    const nowMs = this.#clock.monotonicMs();
    // While this process itself stood still, nobody could be heard.
    const stoodMs = nowMs - this.#beatMs - this.#silenceMsMax / 5;
    if (stoodMs > this.#silenceMsMax / 5) this.#heardMs = Math.min(nowMs, this.#heardMs + stoodMs);
    this.#beatMs = nowMs;
    if (nowMs - this.#heardMs >= this.#silenceMsMax) {
      const details = { silenceMsMax: this.#silenceMsMax };
      this.#silent(new FieldgateError("ERR_PEER_SILENT", "the peer is silent", { details }));
    } else {
      this.#channel.send(PING);
    }
  }
}
