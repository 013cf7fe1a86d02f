import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { UplinkConfig } from "../config/schema.ts";
import { BudgetKeeper } from "./budget-keeper.ts";
import { Carrier } from "./carrier.ts";
import type { Cloud, CloudConnection, CloudTerms, DropReason } from "./cloud.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { SrvLookup } from "./dns-endpoints.ts";
import { shownEndpoint } from "./endpoints.ts";
import { Gaps } from "./gaps.ts";
import { LaneDesk } from "./lane-desk.ts";
import { Ledger } from "./ledger.ts";
import { limitsOf, type UplinkLimits } from "./limits.ts";
import { LinkDriver, type LinkStatus } from "./link-driver.ts";
import { GAP_TOPIC } from "./own-topics.ts";
import { Pacer, type PacerStatus } from "./pacer.ts";
import type { Permit } from "./permit.ts";
import { type GatewayIdentity, LANES, type LaneName, ownRoute, type Router } from "./rules.ts";
import type { Source } from "./source.ts";

export interface UplinkTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly journal: Source;
  readonly cloud: Cloud;
  /** The compiled rules: admission asks the same ones for the lane (rules.ts). */
  readonly route: Router;
  readonly identity: GatewayIdentity;
  /** Absent: it sends from the start on, until it is stopped. */
  readonly permit?: Permit;
  readonly limits?: Partial<UplinkLimits>;
  readonly lookupSrv?: SrvLookup;
  readonly moreEndpoints?: () => readonly string[];
}

export interface UplinkStatus extends LinkStatus {
  readonly protocol: CloudTerms["protocol"] | null;
  /** Paused, and connected all the same: it could send at once. */
  readonly isReady: boolean;
  readonly inflight: number;
  /** Since the start. A message that had to be sent twice counts once. */
  readonly delivered: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** How often a message was sent again because of `whenRefused: retry`, and how many became letters. */
  readonly retried: number;
  readonly deadLetters: number;
  readonly readFailures: number;
  /** Packets of the cloud that nobody has asked for, thrown away. */
  readonly unexpected: number;
  /** Looks into a lane that showed less than was asked for, because of `peekBytesMax`. */
  readonly peeksCut: number;
  /** Monotonic; null before the first one. */
  readonly lastAcknowledgedMs: number | null;
  /** What holds the lanes back; null when nothing is limited. */
  readonly pace: PacerStatus | null;
  readonly lanes: Readonly<Record<LaneName, LaneStatus>>;
}

export interface LaneStatus {
  readonly cursor: number;
  readonly queued: number;
  /** By an operator. */
  readonly paused: boolean;
}

export interface Uplink extends Service {
  status(): UplinkStatus;
  /** Sends nothing new until it carries anew, and resolves when nothing is in flight any more: at once when it does not carry. */
  settle(): Promise<void>;
  /** For operators: what waits in a lane, and what to do with it. */
  readonly desk: LaneDesk;
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

/** A process that was stopped may not send any more, before anybody has told it so. */
const LOOK_EVERY_MS = 500;
const LANE_NAMES = Object.keys(LANES) as LaneName[];

class CloudUplink implements Uplink {
  readonly name = "uplink";
  readonly #options: UplinkConfig;
  readonly #limits: UplinkLimits;
  readonly #tools: UplinkTools;
  readonly #log: Log;
  readonly #ledger: Ledger;
  readonly #link: LinkDriver;
  readonly #letters: DeadLetters | null;
  readonly desk: LaneDesk;

  #carrier: Carrier | null = null;
  #pacer: Pacer | null = null;
  #budget: BudgetKeeper | null = null;
  #unfollow: () => void = () => {};
  /** The connection that is open, carrying or kept ready. */
  #open: { readonly connection: CloudConnection; readonly terms: CloudTerms } | null = null;
  #isCarrying = false;
  /** Under which it carries. */
  #epoch: number | null = null;

  constructor(options: UplinkConfig, tools: UplinkTools) {
    this.#options = options;
    this.#limits = { ...limitsOf(options), ...tools.limits };
    this.#tools = tools;
    this.#log = tools.log.part("uplink");
    this.#ledger = new Ledger(this.#log);
    const { journal, route, permit = null } = tools;
    const carrier = () => this.#carrier;
    const { peekBytesMax, whenRefused } = options;
    const letters = whenRefused === "dead-letter";
    this.#letters = letters ? new DeadLetters({ ...tools, log: this.#log }) : null;
    this.desk = new LaneDesk({ journal, route, carrier, permit, peekBytesMax });
    this.#link = new LinkDriver(
      options,
      { ...tools, log: this.#log },
      { open: (endpoint) => this.#connect(endpoint), closing: () => this.#closing() },
    );
  }

  async start(): Promise<void> {
    const { clock, journal, route, identity } = this.#tools;
    const { windowMax, acknowledgeTimeoutMs, gapTopic, deadLetterTopic } = this.#options;
    const gapRoute = ownRoute(gapTopic, identity);
    const letterRoute = ownRoute(deadLetterTopic, identity);
    await this.#openBudget();
    await this.desk.load();
    const gaps = await this.#openGaps();
    const carrier = new Carrier(
      { windowMax, acknowledgeTimeoutMs, limits: this.#limits },
      {
        clock,
        log: this.#log,
        journal,
        route,
        ownRoute: (topic) => (topic === GAP_TOPIC ? gapRoute : letterRoute),
        gaps,
        letters: this.#letters,
        pacer: this.#pacer,
        budget: this.#budget,
        ledger: this.#ledger,
        permit: this.#tools.permit ?? null,
        isPaused: (lane) => this.desk.isPaused(LANE_NAMES[lane] as LaneName),
        stalled: () => this.#link.failed(stalled(acknowledgeTimeoutMs)),
      },
    );
    this.#carrier = carrier;
    this.#unfollow = journal.onCommit(() => carrier.wake());
    carrier.wake();
    this.#obey();
  }

  /**
   * A connection carries while it may, and under one epoch only: a new one means a new connection. While it may not, one that has
   * carried nothing is kept ready, so that the next primary sends at once.
   */
  #obey(): void {
    const { permit, clock } = this.#tools;
    if (permit === undefined) {
      this.#link.promote();
      return;
    }
    let could = false;
    const look = () => {
      const may = permit.may();
      // Whoever may send from now on does not wait out what failures cost it while it might not.
      if (may && !could && this.#link.state !== "connected") void this.#link.demote();
      could = may;
      if (this.#isCarrying && (!may || permit.epoch() !== this.#epoch)) void this.#link.demote();
      if (!may && !this.#options.standbyConnected) void this.#link.demote();
      else this.#link.promote();
      if (!may) return;
      if (this.#isCarrying) this.#carrier?.wake();
      else this.#carry();
    };
    look();
    const unfollow = [permit.follow(look), clock.every(LOOK_EVERY_MS, look), this.#unfollow];
    this.#unfollow = () => {
      for (const stop of unfollow) stop();
    };
  }

  async settle(): Promise<void> {
    if (this.#isCarrying) await this.#carrier?.drain();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    const carrier = this.#carrier;
    if (carrier !== null && this.#isCarrying) await this.#drain(carrier);
    await this.#link.demote();
    await carrier?.stop();
    await this.#budget?.stop();
  }

  status(): UplinkStatus {
    const { laneTotals } = this.#tools.journal;
    const shippers = this.#carrier?.shippers ?? [];
    const lanes = Object.entries(LANES).map(([name, lane]) => {
      const shipper = shippers.find((candidate) => candidate.lane === lane);
      const total = laneTotals[lane] ?? 0;
      const queued = shipper?.queued(total) ?? total;
      const paused = this.desk.isPaused(name as LaneName);
      return [name, { cursor: shipper?.cursorSeq ?? 0, queued, paused }];
    });
    const link = this.#link.status();
    const isReady = link.state === "connected" && !this.#isCarrying;
    return {
      ...link,
      state: this.#tools.permit?.may() === false ? "paused" : link.state,
      isReady,
      protocol: this.#open?.terms.protocol ?? null,
      inflight: this.#carrier?.inflight ?? 0,
      delivered: this.#ledger.deliveries,
      dropped: { ...this.#ledger.drops },
      retried: this.#ledger.retries,
      deadLetters: this.#letters?.written ?? 0,
      readFailures: this.#ledger.readFailures,
      unexpected: this.#ledger.strays,
      peeksCut: this.desk.peeksCut,
      lastAcknowledgedMs: this.#ledger.lastAcknowledgedMs,
      pace: this.#pacer?.status() ?? null,
      lanes: Object.fromEntries(lanes),
    };
  }

  async #openBudget(): Promise<void> {
    const { journal } = this.#tools;
    const { dailyBytes } = this.#options.limits;
    if (dailyBytes !== undefined) {
      this.#budget = await BudgetKeeper.open(dailyBytes, journal.rows("uplink"), this.#log);
    }
    if (Pacer.isNeeded(this.#options)) {
      this.#pacer = new Pacer(this.#options, this.#budget?.budget ?? null);
    }
  }

  async #openGaps(): Promise<readonly Gaps[]> {
    if (!this.#options.gapRecords) return [];
    const { journal, identity, clock } = this.#tools;
    const rows = journal.rows("uplink");
    const tools = { journal, rows, identity, log: this.#log, wallMs: () => clock.wallMs() };
    const gaps = LANE_NAMES.map((lane) => new Gaps(lane, tools));
    for (const each of gaps) await each.load();
    return gaps;
  }

  #connect(endpoint: string): CloudConnection {
    const carrier = this.#carrier;
    const connection: CloudConnection = this.#tools.cloud.open(endpoint, {
      opened: (terms) => {
        this.#open = { connection, terms };
        this.#link.opened();
        this.#carry();
        this.#log.info("connected to the cloud", { endpoint: shownEndpoint(endpoint), ...terms });
      },
      acknowledged: (token) => {
        this.#link.progressed(this.#tools.clock.monotonicMs());
        carrier?.acknowledged(token);
      },
      refused: (token, reason) => {
        if (this.#options.whenRefused === "retry") {
          this.#ledger.retries++;
          this.#link.failed(refusedMessage(reason));
          return;
        }
        this.#link.progressed(this.#tools.clock.monotonicMs());
        carrier?.refused(token, reason);
      },
      unexpected: () => this.#ledger.unexpected(),
      closed: (error) => this.#link.failed(error),
    });
    return connection;
  }

  /** Begins to send over the connection that is open, if there is one and it may. */
  #carry(): void {
    const { permit } = this.#tools;
    if (this.#open === null || permit?.may() === false) return;
    this.#isCarrying = true;
    this.#epoch = permit?.epoch() ?? null;
    this.#carrier?.begin(this.#open.connection, this.#open.terms);
  }

  #closing(): void {
    this.#carrier?.end();
    this.#open = null;
    this.#isCarrying = false;
  }

  async #drain(carrier: Carrier): Promise<void> {
    const late = new AbortController();
    const timeout = this.#tools.clock.sleep(this.#limits.drainMsMax, late.signal);
    await Promise.race([carrier.drain(), timeout.catch(() => undefined)]);
    late.abort();
  }
}

function refusedMessage(reason: DropReason): FieldgateError {
  return new FieldgateError("ERR_UPLINK_REFUSED", "the cloud refuses a message", {
    details: { reason, whenRefused: "retry" },
  });
}

function stalled(acknowledgeTimeoutMs: number): FieldgateError {
  return new FieldgateError("ERR_UPLINK_STALLED", "the cloud stopped acknowledging", {
    details: { acknowledgeTimeoutMs },
  });
}
