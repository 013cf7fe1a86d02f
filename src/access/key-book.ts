import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type PublicKey, parseKeys } from "./key-text.ts";

/** Where the keys of tokens come from: a file or a URL. */
export interface KeySource {
  /** Given up as soon as the signal aborts. @throws FieldgateError */
  read(signal: AbortSignal): Promise<string>;
}

/** Where what was fetched outlives the process: a gateway that starts without its link must know its clients. */
export interface KeyShelf {
  get(): Promise<string | null>;
  put(text: string): Promise<void>;
}

export interface KeysStatus {
  readonly keys: number;
  /** Why they could not be read or fetched the last time; those of before are in use. */
  readonly error: string | null;
}

/** The keys that tokens are verified with, kept fresh; the last good ones stay in use while there are no fresh ones. */
export class KeyBook {
  readonly #source: KeySource;
  readonly #shelf: KeyShelf | null;
  readonly #pauseMs: number;
  readonly #clock: Clock;
  readonly #log: Log;
  #keys: readonly PublicKey[] = [];
  #text: string | null = null;
  #error: string | null = null;
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #stopWatching: () => void = () => {};
  readonly #stopping = new AbortController();

  /** @param options.pauseMs least time between two readings that tokens ask for */
  constructor(
    source: KeySource,
    options: { readonly shelf: KeyShelf | null; readonly pauseMs: number },
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#source = source;
    this.#shelf = options.shelf;
    this.#pauseMs = options.pauseMs;
    this.#clock = tools.clock;
    this.#log = tools.log;
  }

  get keys(): readonly PublicKey[] {
    return this.#keys;
  }

  /** Does not wait for a source that does not answer when there are keys of before. */
  async start(everyMs: number): Promise<void> {
    const kept = (await this.#shelf?.get().catch(() => null)) ?? null;
    if (kept !== null) this.#takeKept(kept);
    const read = this.#read();
    if (this.#keys.length === 0 && this.#shelf === null) await read;
    this.#stopWatching = this.#clock.every(everyMs, () => void this.#read());
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    this.#stopping.abort();
    await this.#reading;
  }

  status(): KeysStatus {
    return { keys: this.#keys.length, error: this.#error };
  }

  /** A token names a key that is not here: reads them again, unless that was done just now. Tells whether it did. */
  async freshen(): Promise<boolean> {
    if (this.#reading === null && this.#clock.monotonicMs() - this.#readMs < this.#pauseMs) {
      return false;
    }
    await this.#read();
    return true;
  }

  /** One at a time; who comes meanwhile waits for the same. Never rejects. */
  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    this.#readMs = this.#clock.monotonicMs();
    try {
      const text = await this.#source.read(this.#stopping.signal);
      this.#error = null;
      if (text === this.#text) return;
      this.#keys = parseKeys(text);
      this.#text = text;
      this.#log.info("keys of tokens taken up", { keys: this.#keys.length });
      await this.#shelf?.put(text);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const fields = errorFields(error);
      if (this.#error !== fields["error"]) this.#log.error("keys of tokens not taken", fields);
      this.#error = String(fields["error"]);
    }
  }

  #takeKept(text: string): void {
    try {
      this.#keys = parseKeys(text);
      this.#text = text;
    } catch (error) {
      this.#log.warn("keys of tokens that were kept are not in order", errorFields(error));
    }
  }
}
