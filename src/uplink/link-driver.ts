import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { shownEndpoint } from "./endpoints.ts";
import { type Link, type LinkEvent, type LinkTiming, nextLink } from "./link.ts";

export type LinkOptions = Pick<
  UplinkConfig,
  "endpoints" | "connectTimeoutMs" | "backoffFirstMs" | "backoffMaxMs" | "stableMs"
>;

export interface LinkTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

/** What a link opens and closes. */
export interface LinkWorld {
  /** Begins to connect and returns at once; says later `opened` or `failed`. */
  open(endpoint: string): Closable;
  /** The connection is about to be closed: nothing may be sent over it any more. */
  closing(): void;
}

export interface Closable {
  close(how: "politely" | "at once"): Promise<void>;
}

export interface LinkStatus {
  readonly state: Link["at"];
  /** Where it is connected, or connects next. */
  readonly endpoint: string;
  /** Failures since the last stable connection. */
  readonly attempt: number;
  /** Connections that failed or ended, since the start. */
  readonly failures: number;
  readonly lastError: Readonly<Record<string, unknown>> | null;
}

/** Does what the link (link.ts) decides: its timers, its connection, one endpoint after the other. */
export class LinkDriver {
  readonly #options: LinkOptions;
  readonly #tools: LinkTools;
  readonly #world: LinkWorld;
  readonly #timing: LinkTiming;
  readonly #closing = new Set<Promise<void>>();
  #link: Link = { at: "paused" };
  #connection: Closable | null = null;
  /** Ends the timer of the link's present state. */
  #timer = new AbortController();
  #endpointIndex = 0;
  #failures = 0;
  #lastError: Readonly<Record<string, unknown>> | null = null;

  constructor(options: LinkOptions, tools: LinkTools, world: LinkWorld) {
    this.#options = options;
    this.#tools = tools;
    this.#world = world;
    const { backoffFirstMs: firstMs, backoffMaxMs: maxMs, stableMs } = options;
    this.#timing = {
      backoffMs: (attempt) => fullJitter(attempt, { firstMs, maxMs }, tools.random),
      stableMs,
    };
  }

  get state(): Link["at"] {
    return this.#link.at;
  }

  promote(): void {
    this.#step("promoted");
  }

  opened(): void {
    this.#step("opened");
  }

  /** The connection failed, whoever noticed. The next endpoint is tried after a while. */
  failed(error: FieldgateError): void {
    const endpoint = shownEndpoint(this.#endpoint);
    this.#failures++;
    this.#lastError = errorFields(error);
    this.#endpointIndex++;
    this.#step("failed");
    const { attempt = 0, retryAtMs = 0 } = this.#link.at === "waiting" ? this.#link : {};
    const retryInMs = Math.round(retryAtMs - this.#tools.clock.monotonicMs());
    this.#tools.log.warn("no connection to the cloud", {
      endpoint,
      attempt,
      retryInMs,
      ...this.#lastError,
    });
  }

  /** Resolves when no connection is left. */
  async demote(): Promise<void> {
    this.#step("demoted");
    await Promise.all(this.#closing);
  }

  status(): LinkStatus {
    const link = this.#link;
    return {
      state: link.at,
      endpoint: shownEndpoint(this.#endpoint),
      attempt: "attempt" in link ? link.attempt : 0,
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  get #endpoint(): string {
    const { endpoints } = this.#options;
    return endpoints[this.#endpointIndex % endpoints.length] as string;
  }

  #step(event: LinkEvent): void {
    const before = this.#link;
    const nowMs = this.#tools.clock.monotonicMs();
    const [link, actions] = nextLink(before, event, nowMs, this.#timing);
    this.#link = link;
    if (link !== before) {
      this.#timer.abort();
      this.#timer = new AbortController();
    }
    for (const action of actions) {
      if (action === "open") this.#open();
      else this.#close(event === "demoted" ? "politely" : "at once");
    }
    // A timer may fire a little early: then the tick meant nothing yet, and another one follows.
    if (link.at === "waiting" && (link !== before || event === "tick")) {
      this.#after(link.retryAtMs - nowMs, () => this.#step("tick"));
    }
  }

  #open(): void {
    const { connectTimeoutMs } = this.#options;
    this.#connection = this.#world.open(this.#endpoint);
    this.#after(connectTimeoutMs, () => this.failed(connectTimedOut(connectTimeoutMs)));
  }

  #close(how: "politely" | "at once"): void {
    this.#world.closing();
    const closing = this.#connection?.close(how);
    this.#connection = null;
    if (closing === undefined) return;
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  /** Runs a task after a while, unless the link changes its state before. */
  #after(ms: number, task: () => void): void {
    this.#tools.clock.sleep(Math.max(0, ms), this.#timer.signal).then(task, () => undefined);
  }
}

function connectTimedOut(connectTimeoutMs: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_REFUSED", "the cloud did not answer in time", {
    details: { connectTimeoutMs },
  });
}
