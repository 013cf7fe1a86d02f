import type { Clock } from "../../base/clock.ts";
import { answerTo } from "./pdu.ts";
import type { Wire } from "./wire.ts";

/** What came of a request. */
export type Outcome =
  | { readonly is: "answer"; readonly content: Uint8Array }
  | { readonly is: "exception"; readonly code: number }
  | { readonly is: "failed"; readonly reason: ExchangeRefusal };

/** Why a request has no answer. */
export type ExchangeRefusal =
  /** Nothing came in time. */
  | "no-answer"
  /** Something came in time, and no right answer in it. */
  | "checksum"
  /** The answer is whole, and none to this request. */
  | "malformed"
  /** The system did not take the whole request in time: the far end holds it up. */
  | "not-taken"
  /** The port went away meanwhile. */
  | "incomplete";

/** The port as a master needs it. */
export interface MasterPort {
  write(bytes: Uint8Array): Promise<void>;
  /** The bytes of the far end make no sense any more, or it takes none: what was written must not reach it later. */
  giveUp(why: "nonsense" | "not-taken"): void;
}

/** Has one request on the wire at a time: silence, request, answer or time-out. */
export class Master {
  readonly #wire: Wire;
  readonly #port: MasterPort;
  readonly #clock: Clock;
  #lastByteMs = Number.NEGATIVE_INFINITY;
  #settle: ((answer: Uint8Array) => void) | null = null;

  constructor(wire: Wire, port: MasterPort, clock: Clock) {
    this.#wire = wire;
    this.#port = port;
    this.#clock = clock;
  }

  /** Bytes of the line. Those that no request waits for are only heard: the line is not silent. */
  hear(chunk: Uint8Array): void {
    this.#lastByteMs = this.#clock.monotonicMs();
    const answer = this.#wire.push(chunk);
    if (answer === "broken") this.#port.giveUp("nonsense");
    else if (answer !== null) this.#settle?.(answer);
  }

  /** Resolves when the line has been silent for as long as it must be before a request; rejects when the signal aborts. */
  async silence(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const restMs = this.#lastByteMs + this.#wire.silenceMs - this.#clock.monotonicMs();
      if (restMs <= 0) return;
      await this.#clock.sleepExactly(restMs, signal);
    }
  }

  /**
   * Asks a slave. The time-out counts from when the request has left.
   * @param signal the port's: aborted when it goes away, and then the outcome is `incomplete`
   */
  async exchange(
    unit: number,
    pdu: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const bytes = this.#wire.request(unit, pdu);
    const answered = new Promise<Uint8Array>((resolve) => {
      this.#settle = resolve;
    });
    const ended = new AbortController();
    const end = () => ended.abort();
    signal.addEventListener("abort", end, { once: true });
    try {
      const leftMs = this.#wire.lineMs(bytes.length);
      this.#lastByteMs = this.#clock.monotonicMs() + leftMs;
      const late = this.#clock.sleep(Math.ceil(leftMs + timeoutMs), ended.signal).then(
        () => null,
        () => null,
      );
      let write: "waits" | "taken" | "failed" = "waits";
      const gone = this.#port.write(bytes).then(
        () => {
          write = "taken";
          return new Promise<null>(() => {});
        },
        () => {
          write = "failed";
          return null;
        },
      );
      const answer = await Promise.race([answered, late, gone]);
      if (answer === null) return { is: "failed", reason: this.#why(write, signal) };
      return answerTo(pdu, answer) ?? { is: "failed", reason: "malformed" };
    } finally {
      this.#settle = null;
      this.#wire.reset();
      signal.removeEventListener("abort", end);
      ended.abort();
    }
  }

  #why(write: "waits" | "taken" | "failed", signal: AbortSignal): ExchangeRefusal {
    if (write === "failed" || signal.aborted) return "incomplete";
    if (write === "taken") return this.#wire.heard ? "checksum" : "no-answer";
    this.#port.giveUp("not-taken");
    return "not-taken";
  }
}
