import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Tracer, WriteResult } from "./device.ts";
import { type Link, type LinkEvent, type LinkTiming, nextLink } from "./link.ts";
import { type OpenPort, type Port, type PortTrouble, portError, troubleOf } from "./port.ts";

/** The bounds that keep a port open. */
export type LineLimits = Pick<
  DeviceConfig,
  "openTimeoutMs" | "backoffFirstMs" | "backoffMaxMs" | "stableMs"
>;

/** Told what becomes of the port, in the order in which it happens. */
export interface LineListener {
  /** The port is open: it takes bytes, and gives them from now on. */
  opened(): void;
  data(chunk: Uint8Array): void;
  /** The port was lost, closed, or never opened: what was half there counts no more. */
  closed(): void;
  tick(): void;
}

/** How often the link and its listener are told the time. */
export const TICK_MS = 50;

/** Keeps a port open: opens it, opens it again with backoff when it was lost, and says once what is wrong. */
export class Line {
  readonly #name: string;
  readonly #address: string;
  readonly #port: Port;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listener: LineListener;
  readonly #timing: LinkTiming;
  #link: Link = { at: "closed" };
  #opening = new AbortController();
  #opened: OpenPort | null = null;
  #paused = false;
  #unsettled = new Set<Promise<void>>();
  #stopTicking = () => {};
  #logged: PortTrouble | "open" | null = null;
  #openings = 0;
  readonly #tracers = new Set<Tracer>();
  #bytes = 0;

  constructor(
    config: Pick<DeviceConfig, "name" | "port">,
    port: Port,
    limits: LineLimits,
    tools: { readonly clock: Clock; readonly log: Log; readonly random: Random },
    listener: LineListener,
  ) {
    this.#name = config.name;
    this.#address = config.port;
    this.#port = port;
    this.#clock = tools.clock;
    this.#log = tools.log;
    this.#listener = listener;
    const delays = { firstMs: limits.backoffFirstMs, maxMs: limits.backoffMaxMs };
    this.#timing = {
      backoffMs: (attempt) => fullJitter(attempt, delays, tools.random),
      openTimeoutMs: limits.openTimeoutMs,
      stableMs: limits.stableMs,
    };
  }

  start(): void {
    this.#stopTicking = this.#clock.every(TICK_MS, () => {
      this.#listener.tick();
      this.#step({ is: "tick" });
    });
    this.#step({ is: "start" });
  }

  /** Resolves when the port is free for others. */
  async stop(): Promise<void> {
    this.#stopTicking();
    this.#step({ is: "stop" });
    await Promise.all(this.#unsettled);
  }

  get state(): Link["at"] {
    return this.#link.at;
  }

  /** Why it is not open; null when it is, or was never tried. */
  get reason(): PortTrouble | null {
    return "why" in this.#link ? this.#link.why : null;
  }

  /** Bytes read from the port. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Times that the port was opened again. */
  get reopened(): number {
    return Math.max(0, this.#openings - 1);
  }

  /** Tells of every byte, until the returned function is called. */
  trace(tracer: Tracer): () => void {
    this.#tracers.add(tracer);
    return () => this.#tracers.delete(tracer);
  }

  /** Why nothing can be written now; null when it can. */
  get refusal(): WriteResult | null {
    return this.#opened === null
      ? { is: "refused", reason: `port-${this.reason ?? "closed"}` }
      : null;
  }

  /**
   * As `write`, and never rejects. When the system does not take the bytes within that time, because the far end holds it up, the port is
   * given up: otherwise they, and what is written after them, would reach the device whenever it listens again.
   */
  async writeWithin(bytes: Uint8Array, ms: number): Promise<WriteResult> {
    const port = this.#opening.signal;
    const done = new AbortController();
    const end = () => done.abort();
    port.addEventListener("abort", end, { once: true });
    const late = this.#clock.sleep(ms, done.signal).then(
      () => "not-taken",
      () => "port-lost", // It is closed. The system may never say what became of the bytes.
    );
    const written = this.write(bytes).then(
      () => null,
      () => "port-lost",
    );
    const reason = await Promise.race([written, late]);
    port.removeEventListener("abort", end);
    end();
    if (reason === "not-taken") this.giveUp("not-taken");
    return reason === null ? { is: "success" } : { is: "timeout", reason };
  }

  /** Resolves when the system has taken the bytes; rejects with ERR_DEVICE_OPEN when the port is not open or went away. */
  async write(bytes: Uint8Array): Promise<void> {
    const opened = this.#opened;
    if (opened === null) throw portError(this.reason ?? "unplugged", this.#address);
    for (const tracer of this.#tracers) tracer("out", bytes);
    try {
      await opened.write(bytes);
    } catch (error) {
      // At once, not when the port says so itself: the next write is refused then, and not lost as well.
      if (this.#opened === opened) this.giveUp(troubleOf(error), causeOf(error));
      throw error;
    }
  }

  /** Bytes are left where they are until `resume`, also over a reopening. */
  pause(): void {
    this.#paused = true;
    this.#opened?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#opened?.resume();
  }

  /** The far end makes no sense from here on, or takes nothing: the port is closed and opened again. */
  giveUp(why: PortTrouble, cause?: unknown): void {
    if (this.#link.at !== "open") return;
    this.#report(portError(why, this.#address, cause));
    this.#step({ is: "lost", why });
  }

  #step(event: LinkEvent): void {
    const [link, actions] = nextLink(this.#link, event, this.#clock.monotonicMs(), this.#timing);
    this.#link = link;
    for (const action of actions) this.#follow(action === "open" ? this.#open() : this.#close());
  }

  /** What `stop` has to wait for. */
  #follow(work: Promise<void>): void {
    this.#unsettled.add(work);
    void work.finally(() => this.#unsettled.delete(work));
  }

  async #open(): Promise<void> {
    const opening = new AbortController();
    this.#opening = opening;
    const listener = {
      data: (chunk: Uint8Array) => {
        if (opening.signal.aborted) return;
        this.#bytes += chunk.length;
        for (const tracer of this.#tracers) tracer("in", chunk);
        this.#listener.data(chunk);
      },
      lost: (error: FieldgateError) => {
        if (opening.signal.aborted) return;
        this.#report(error);
        this.#step({ is: "lost", why: troubleOf(error) });
      },
    };
    try {
      const opened = await this.#port.open(listener, opening.signal);
      if (opening.signal.aborted) return await opened.close();
      this.#opened = opened;
      this.#openings += 1;
      this.#step({ is: "opened" });
      this.#reportOpen();
      // First: what a port has kept from before comes out at once when it resumes.
      this.#listener.opened();
      if (!this.#paused) opened.resume();
    } catch (error) {
      if (opening.signal.aborted) return;
      this.#report(error);
      this.#step({ is: "failed", why: troubleOf(error) });
    }
  }

  async #close(): Promise<void> {
    this.#opening.abort(new FieldgateError("ERR_DEVICE_OPEN", "the device is closed"));
    const opened = this.#opened;
    this.#opened = null;
    this.#listener.closed();
    await opened?.close();
  }

  /** Says once what is wrong, not at every attempt. */
  #report(error: unknown): void {
    const trouble = troubleOf(error);
    if (this.#logged === trouble) return;
    this.#logged = trouble;
    this.#log.warn("device not open", { device: this.#name, ...errorFields(error) });
  }

  #reportOpen(): void {
    if (this.#logged === "open") return;
    this.#logged = "open";
    this.#log.info("device open", { device: this.#name, port: this.#address });
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof FieldgateError ? error.cause : error;
}
