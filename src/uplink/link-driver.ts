import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { findCandidates, isLookedUp, lookupSrv, type SrvLookup } from "./dns-endpoints.ts";
import { type Candidate, EndpointBook, type EndpointStatus, inOrder } from "./endpoint-book.ts";
import { parseEndpoint, shownEndpoint } from "./endpoints.ts";
import { type Link, type LinkEvent, type LinkTiming, nextLink } from "./link.ts";

export type LinkOptions = Pick<
  UplinkConfig,
  | "endpoints"
  | "endpointOrder"
  | "breaker"
  | "connectTimeoutMs"
  | "backoffFirstMs"
  | "backoffMaxMs"
  | "stableMs"
>;

export interface LinkTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: { readonly gateway: string };
  /** Looks up `srv+mqtts://…`; by default the resolvers of the machine. */
  readonly lookupSrv?: SrvLookup;
  /** Endpoints that are known from elsewhere now, beside those of the configuration. */
  readonly moreEndpoints?: () => readonly string[];
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
  /** The circuit breaker of that endpoint (breaker.ts). */
  readonly breaker: EndpointStatus["breaker"];
  /** Failures since the last stable connection. */
  readonly attempt: number;
  /** Connections that failed or ended, since the start. */
  readonly failures: number;
  readonly lastError: Readonly<Record<string, unknown>> | null;
  /** Each broker that is known, in the order of this gateway. */
  readonly endpoints: readonly EndpointStatus[];
}

/** Does what the link (link.ts) decides: its timers, its connection, the endpoint that has failed least. */
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
  readonly #book: EndpointBook;
  #endpoint: string | null = null;
  #failures = 0;
  #lastError: Readonly<Record<string, unknown>> | null = null;

  constructor(options: LinkOptions, tools: LinkTools, world: LinkWorld) {
    this.#options = options;
    this.#tools = tools;
    this.#world = world;
    const { backoffFirstMs: firstMs, backoffMaxMs: maxMs, stableMs } = options;
    this.#book = new EndpointBook(options.breaker, stableMs);
    const heldMs = () => this.#book.waitMs(tools.clock.monotonicMs());
    this.#timing = {
      backoffMs: (attempt) =>
        Math.max(fullJitter(attempt, { firstMs, maxMs }, tools.random), heldMs()),
      stableMs,
      heldMs,
    };
  }

  get state(): Link["at"] {
    return this.#link.at;
  }

  promote(): void {
    this.#step("promoted");
  }

  opened(): void {
    if (this.#endpoint !== null) this.#book.opened(this.#endpoint, this.#tools.clock.monotonicMs());
    this.#step("opened");
  }

  /** The cloud has acknowledged something: to a breaker, that is health. */
  progressed(nowMs: number): void {
    if (this.#endpoint !== null) this.#book.progressed(this.#endpoint, nowMs);
  }

  /** The connection failed, whoever noticed. Another endpoint, or the same one, is tried after a while. */
  failed(error: FieldgateError): void {
    if (this.#endpoint !== null) this.#book.failed(this.#endpoint, this.#tools.clock.monotonicMs());
    this.gaveUp(error);
  }

  /** The connection is no use to us just now, for reasons of our own: the same as a failure, but not the endpoint's. */
  gaveUp(error: FieldgateError): void {
    const endpoint = this.#endpoint === null ? null : shownEndpoint(this.#endpoint);
    this.#failures++;
    this.#lastError = errorFields(error);
    this.#endpoint = null;
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
    this.#endpoint = null;
    await Promise.all(this.#closing);
  }

  status(): LinkStatus {
    const link = this.#link;
    return {
      state: link.at,
      endpoint: shownEndpoint(this.#next),
      breaker: this.#book.breakerOf(this.#next),
      attempt: "attempt" in link ? link.attempt : 0,
      failures: this.#failures,
      lastError: this.#lastError,
      endpoints: this.#book.status(),
    };
  }

  get #next(): string {
    const nowMs = this.#tools.clock.monotonicMs();
    return this.#endpoint ?? this.#book.next(nowMs) ?? (this.#options.endpoints[0] as string);
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
    const { connectTimeoutMs, endpoints } = this.#options;
    this.#after(connectTimeoutMs, () => this.failed(connectTimedOut(connectTimeoutMs)));
    if (!endpoints.some(isLookedUp)) {
      this.#know(endpoints.map((endpoint, place) => ({ endpoint, place, ...EQUAL })));
      this.#dial();
      return;
    }
    const { signal } = this.#timer;
    findCandidates(endpoints, this.#tools.lookupSrv ?? lookupSrv).then(
      (candidates) => {
        if (signal.aborted) return;
        this.#know(candidates);
        this.#dial();
      },
      (error: FieldgateError) => {
        if (signal.aborted) return;
        if (this.#book.status().length === 0) this.failed(error);
        else {
          this.#tools.log.warn("brokers as they were known before", errorFields(error));
          this.#dial();
        }
      },
    );
  }

  #know(candidates: readonly Candidate[]): void {
    const { endpointOrder } = this.#options;
    const all = [...candidates, ...this.#more(new Set(candidates.map(({ endpoint }) => endpoint)))];
    this.#book.replace(inOrder(all, endpointOrder, this.#tools.identity.gateway));
  }

  /** What is no address is passed over, and so is one without TLS where the configuration has TLS only. */
  #more(known: ReadonlySet<string>): readonly Candidate[] {
    const { endpoints } = this.#options;
    const wantsTls = endpoints.every((endpoint) => /^(srv\+)?mqtts:/.test(endpoint));
    const place = endpoints.length;
    return [...new Set(this.#tools.moreEndpoints?.() ?? [])].flatMap((endpoint) => {
      if (known.has(endpoint)) return [];
      const address = parseEndpoint(endpoint);
      if (address !== null && (address.tls || !wantsTls)) return [{ endpoint, place, ...EQUAL }];
      this.#tools.log.warn("no endpoint of ours", { endpoint: shownEndpoint(endpoint), wantsTls });
      return [];
    });
  }

  #dial(): void {
    const nowMs = this.#tools.clock.monotonicMs();
    const endpoint = this.#next;
    this.#book.tried(endpoint, nowMs);
    this.#endpoint = endpoint;
    this.#connection = this.#world.open(endpoint);
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

const EQUAL = { priority: 0, weight: 1 };

function connectTimedOut(connectTimeoutMs: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_REFUSED", "the cloud did not answer in time", {
    details: { connectTimeoutMs },
  });
}
