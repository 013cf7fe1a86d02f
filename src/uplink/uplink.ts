import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { Carrier } from "./carrier.ts";
import type { Cloud, CloudConnection, CloudTerms, DropReason } from "./cloud.ts";
import { shownEndpoint } from "./endpoints.ts";
import { Ledger } from "./ledger.ts";
import { SHARES, type UplinkLimits } from "./limits.ts";
import { type Link, type LinkEvent, type LinkTiming, nextLink } from "./link.ts";
import { LANES, type LaneName, type Router } from "./rules.ts";
import type { Source } from "./source.ts";

export interface UplinkTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly journal: Source;
  readonly cloud: Cloud;
  /** The compiled rules: admission asks the same ones for the lane (rules.ts). */
  readonly route: Router;
  readonly limits?: Partial<UplinkLimits>;
}

export interface UplinkStatus {
  readonly state: Link["at"];
  /** Where it is connected, or connects next. */
  readonly endpoint: string;
  readonly protocol: CloudTerms["protocol"] | null;
  /** Failures since the last stable connection. */
  readonly attempt: number;
  readonly inflight: number;
  /** Since the start. A message that had to be sent twice counts once. */
  readonly delivered: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Connections that failed or ended, since the start. */
  readonly failures: number;
  readonly readFailures: number;
  readonly lastError: Readonly<Record<string, unknown>> | null;
  /** Monotonic; null before the first one. */
  readonly lastAcknowledgedMs: number | null;
  readonly lanes: Readonly<Record<LaneName, { readonly cursor: number; readonly queued: number }>>;
}

export interface Uplink extends Service {
  status(): UplinkStatus;
}

/**
 * The way to the cloud: delivers what the lanes of the journal hold, at least once and each lane in order, and moves
 * the lane's cursor when the cloud has acknowledged. It never gives up, and remembers nothing that the journal does not.
 *
 * `start` resolves at once: a gateway without its cloud works. `stop` gives what is in flight `drainMsMax` to arrive.
 */
export function uplink(options: UplinkConfig, tools: UplinkTools): Uplink {
  return new CloudUplink(options, tools);
}

class CloudUplink implements Uplink {
  readonly name = "uplink";
  readonly #options: UplinkConfig;
  readonly #limits: UplinkLimits;
  readonly #tools: UplinkTools;
  readonly #log: Log;
  readonly #timing: LinkTiming;
  readonly #ledger: Ledger;
  readonly #closing = new Set<Promise<void>>();

  #link: Link = { at: "paused" };
  #carrier: Carrier | null = null;
  #connection: CloudConnection | null = null;
  /** Ends the timer of the link's present state. */
  #timer = new AbortController();
  #unfollow: () => void = () => {};
  #endpointIndex = 0;
  #terms: CloudTerms | null = null;
  #failures = 0;
  #lastError: Readonly<Record<string, unknown>> | null = null;

  constructor(options: UplinkConfig, tools: UplinkTools) {
    this.#options = options;
    this.#limits = { ...options, shares: SHARES, ...tools.limits };
    this.#tools = tools;
    this.#log = tools.log.part("uplink");
    this.#ledger = new Ledger(this.#log);
    const { backoffFirstMs: firstMs, backoffMaxMs: maxMs, stableMs } = options;
    this.#timing = {
      backoffMs: (attempt) => fullJitter(attempt, { firstMs, maxMs }, tools.random),
      stableMs,
    };
  }

  async start(): Promise<void> {
    const { clock, journal, route } = this.#tools;
    const { windowMax, acknowledgeTimeoutMs } = this.#options;
    const carrier = new Carrier(
      { windowMax, acknowledgeTimeoutMs, limits: this.#limits },
      {
        clock,
        log: this.#log,
        journal,
        route,
        ledger: this.#ledger,
        stalled: () => this.#failed(stalled(acknowledgeTimeoutMs)),
      },
    );
    this.#carrier = carrier;
    this.#unfollow = journal.onCommit(() => carrier.wake());
    carrier.wake();
    this.#step("promoted");
  }

  async stop(): Promise<void> {
    this.#unfollow();
    const carrier = this.#carrier;
    if (carrier !== null && this.#link.at === "connected") await this.#drain(carrier);
    this.#step("demoted");
    await Promise.all(this.#closing);
    await carrier?.stop();
  }

  status(): UplinkStatus {
    const link = this.#link;
    const { laneTotals } = this.#tools.journal;
    const shippers = this.#carrier?.shippers ?? [];
    const lanes = Object.entries(LANES).map(([name, lane]) => {
      const shipper = shippers.find((candidate) => candidate.lane === lane);
      const total = laneTotals[lane] ?? 0;
      return [name, { cursor: shipper?.cursorSeq ?? 0, queued: shipper?.queued(total) ?? total }];
    });
    return {
      state: link.at,
      endpoint: shownEndpoint(this.#endpoint),
      protocol: this.#terms?.protocol ?? null,
      attempt: "attempt" in link ? link.attempt : 0,
      inflight: this.#carrier?.inflight ?? 0,
      delivered: this.#ledger.deliveries,
      dropped: { ...this.#ledger.drops },
      failures: this.#failures,
      readFailures: this.#ledger.readFailures,
      lastError: this.#lastError,
      lastAcknowledgedMs: this.#ledger.lastAcknowledgedMs,
      lanes: Object.fromEntries(lanes),
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
    const endpoint = this.#endpoint;
    const carrier = this.#carrier;
    const connection: CloudConnection = this.#tools.cloud.open(endpoint, {
      opened: (terms) => {
        this.#terms = terms;
        this.#step("opened");
        carrier?.begin(connection, terms);
        this.#log.info("connected to the cloud", { endpoint: shownEndpoint(endpoint), ...terms });
      },
      acknowledged: (token) => carrier?.acknowledged(token),
      refused: (token, reason) => carrier?.refused(token, reason),
      closed: (error) => this.#failed(error),
    });
    this.#connection = connection;
    this.#after(connectTimeoutMs, () => this.#failed(connectTimedOut(connectTimeoutMs)));
  }

  #close(how: "politely" | "at once"): void {
    this.#carrier?.end();
    this.#terms = null;
    const closing = this.#connection?.close(how);
    this.#connection = null;
    if (closing === undefined) return;
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  /** The connection failed, whoever noticed. The next endpoint of the list is tried after a while. */
  #failed(error: FieldgateError): void {
    const endpoint = shownEndpoint(this.#endpoint);
    this.#failures++;
    this.#lastError = errorFields(error);
    this.#endpointIndex++;
    this.#step("failed");
    const { attempt = 0, retryAtMs = 0 } = this.#link.at === "waiting" ? this.#link : {};
    const retryInMs = Math.round(retryAtMs - this.#tools.clock.monotonicMs());
    this.#log.warn("no connection to the cloud", {
      endpoint,
      attempt,
      retryInMs,
      ...this.#lastError,
    });
  }

  async #drain(carrier: Carrier): Promise<void> {
    const late = new AbortController();
    const timeout = this.#tools.clock.sleep(this.#limits.drainMsMax, late.signal);
    await Promise.race([carrier.drain(), timeout.catch(() => undefined)]);
    late.abort();
  }

  /** Runs a task after a while, unless the link changes its state before. */
  #after(ms: number, task: () => void): void {
    this.#tools.clock.sleep(Math.max(0, ms), this.#timer.signal).then(task, () => undefined);
  }
}

function stalled(acknowledgeTimeoutMs: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_STALLED", "the cloud stopped acknowledging", {
    details: { acknowledgeTimeoutMs },
  });
}

function connectTimedOut(connectTimeoutMs: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_REFUSED", "the cloud did not answer in time", {
    details: { connectTimeoutMs },
  });
}
