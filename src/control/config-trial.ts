import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";

/** How the last trial ended. */
export interface TrialEnd {
  readonly kept: boolean;
  readonly why: string;
  readonly wallMs: number;
}

export interface TrialStatus {
  readonly state: "steady" | "trying";
  /** Until it goes back by itself; null when nothing is being tried. */
  readonly remainingMs: number | null;
  readonly last: TrialEnd | null;
}

/**
 * A configuration on trial:
 *
 *     steady ──begin──▶ trying ──confirm──▶ steady, with the new text
 *                          └── not confirmed in time, did not start, taken back ──▶ steady, with the text before
 *
 * The file is not touched before somebody has confirmed: whatever ends the process on the way, a power cut too, brings back what was
 * before. Only whoever confirms writes the file: the service may not.
 */
export class ConfigTrial {
  readonly #clock: Clock;
  #text: string;
  /** What to go back to; null: nothing is being tried. */
  #before: string | null = null;
  #deadlineMs = 0;
  #last: TrialEnd | null = null;
  #over = new AbortController();
  #changed: () => void = () => {};

  /** @param text of the file, which the gateway starts with */
  constructor(text: string, clock: Clock) {
    this.#text = text;
    this.#clock = clock;
  }

  /** What the gateway has to run with. */
  get text(): string {
    return this.#text;
  }

  get isTrying(): boolean {
    return this.#before !== null;
  }

  status(): TrialStatus {
    const { isTrying } = this;
    const remainingMs = isTrying ? Math.max(0, this.#deadlineMs - this.#clock.monotonicMs()) : null;
    return { state: isTrying ? "trying" : "steady", remainingMs, last: this.#last };
  }

  /** @throws FieldgateError ERR_CONFIG_TRIAL while another one is being tried */
  begin(text: string, confirmMs: number): void {
    if (this.isTrying) {
      const message = "a configuration is being tried already: config confirm or config revert";
      throw new FieldgateError("ERR_CONFIG_TRIAL", message);
    }
    this.#before = this.#text;
    this.#text = text;
    this.#deadlineMs = this.#clock.monotonicMs() + confirmMs;
    this.#over = new AbortController();
    const late = () => this.goBack(`nobody confirmed it within ${Math.round(confirmMs / 1000)} s`);
    this.#clock.sleep(confirmMs, this.#over.signal).then(late, () => {});
    this.#tell();
  }

  /** From now on it is the gateway's own. @throws FieldgateError ERR_CONFIG_TRIAL when none is being tried */
  confirm(): void {
    if (!this.isTrying) throw nothingTried();
    this.#before = null;
    this.#end(true, "confirmed");
  }

  /** Brings back what was before. @throws FieldgateError ERR_CONFIG_TRIAL when none is being tried */
  goBack(why: string): void {
    if (this.#before === null) throw nothingTried();
    this.#text = this.#before;
    this.#before = null;
    this.#end(false, why);
    this.#tell();
  }

  /** Resolves once the gateway has to run with another text than that. */
  async changed(from: string): Promise<void> {
    while (this.#text === from) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Nothing is timed any more. */
  stop(): void {
    this.#over.abort(new Error("stopped"));
  }

  #end(kept: boolean, why: string): void {
    this.#over.abort(new Error(why));
    this.#last = { kept, why, wallMs: this.#clock.wallMs() };
  }

  /** After this turn: whoever asked for it is answered first. */
  #tell(): void {
    this.#clock.afterTurn(() => this.#changed());
  }
}

function nothingTried(): FieldgateError {
  return new FieldgateError("ERR_CONFIG_TRIAL", "no configuration is being tried");
}
