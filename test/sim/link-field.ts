import assert from "node:assert/strict";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import { LinkDriver, type LinkOptions } from "../../src/uplink/link-driver.ts";
import { BrokerModel } from "./broker-model.ts";
import { TurnClock } from "./uplink-cloud.ts";

/** What a broker does with connections, for a while. */
const MOODS = ["refuses", "silent", "throws out", "works", "works"] as const;
type Mood = (typeof MOODS)[number];

interface Connection {
  readonly endpoint: string;
  openedMs: number | null;
  over: boolean;
}

/** A link driver, the brokers that it meets, and a model that says what it must do. */
export class LinkField {
  readonly seen = { dials: 0, opened: 0, failures: 0, breakersOpened: 0, stable: 0, demoted: 0 };
  readonly #seed: number;
  readonly #random: Random;
  readonly #clock = new TurnClock();
  readonly #options: LinkOptions;
  readonly #driver: LinkDriver;
  readonly #models: ReadonlyMap<string, BrokerModel>;
  readonly #moods = new Map<string, Mood>();
  #connection: Connection | null = null;
  #isPromoted = false;
  #isCalm = false;
  /** Failures of the link since a stable connection, and what was drawn for the pause after the last one. */
  #attempt = 0;
  #failedMs: number | null = null;
  #drawn = 0;
  /** How long the breakers kept all brokers closed, at the last failure. */
  #closedMs = 0;

  constructor(seed: number, random: Random) {
    this.#seed = seed;
    this.#random = random;
    const some = (least: number, most: number) => Math.floor(least + random() * (most - least));
    const endpoints = Array.from({ length: some(1, 5) }, (_, n) => `mqtt://broker-${n}`);
    this.#options = {
      endpoints,
      endpointOrder: random() < 0.5 ? "list" : "spread",
      breaker: {
        windowMs: 5000,
        failurePercent: 60,
        failuresMin: some(1, 5),
        openMs: some(1000, 40_000),
      },
      connectTimeoutMs: some(200, 10_000),
      backoffFirstMs: some(1, 1000),
      backoffMaxMs: some(1000, 60_000),
      stableMs: 60_000,
    };
    const { breaker, stableMs } = this.#options;
    this.#models = new Map(endpoints.map((each) => [each, new BrokerModel(breaker, stableMs)]));
    this.#driver = new LinkDriver(
      this.#options,
      {
        clock: this.#clock,
        log: silentLog,
        identity: { gateway: "gw-a" },
        random: () => {
          this.#drawn = random();
          return this.#drawn;
        },
      },
      { open: (endpoint) => this.#dialled(endpoint), closing: () => {} },
    );
  }

  /** Brokers change their moods; whoever decides promotes and demotes. */
  async storm(forMs: number): Promise<void> {
    this.#promote();
    for (let nowMs = 0; nowMs < forMs; nowMs += 2000) {
      if (this.#random() < 0.05) this.#turnMoods();
      if (this.#random() < 0.003) await this.#demote();
      if (!this.#isPromoted && this.#random() < 0.3) this.#promote();
      await this.#clock.run(nowMs);
      this.#acknowledge();
      this.#checkStatus();
    }
  }

  /** All brokers work: then there is a connection, as soon as backoff and breakers allow. */
  async calm(): Promise<void> {
    this.#isCalm = true;
    for (const endpoint of this.#models.keys()) this.#moods.set(endpoint, "works");
    if (this.#connection !== null) this.#fail(this.#connection);
    if (!this.#isPromoted) this.#promote();
    const { connectTimeoutMs, backoffMaxMs, breaker } = this.#options;
    const withinMs = connectTimeoutMs + Math.max(backoffMaxMs, breaker.openMs) + 1000;
    await this.#clock.run(this.#clock.monotonicMs() + withinMs);
    this.#is(this.#driver.state, "connected", `after ${withinMs} ms with all brokers well`);
    await this.#demote();
  }

  #promote(): void {
    this.#isPromoted = true;
    this.#attempt = 0;
    this.#failedMs = null;
    this.#driver.promote();
  }

  /** Invariant: when `demote` has resolved there is no connection, and none is made. */
  async #demote(): Promise<void> {
    this.#isPromoted = false;
    this.seen.demoted++;
    await this.#driver.demote();
    this.#is(this.#connection, null, "a connection after demote");
    this.#is(this.#driver.state, "paused", "the state after demote");
  }

  #dialled(endpoint: string) {
    const nowMs = this.#clock.monotonicMs();
    this.seen.dials++;
    // Invariant: one connection at a time, and only while it may be.
    this.#is(this.#connection, null, "a second connection");
    this.#is(this.#isPromoted, true, "a connection of who is demoted");
    this.#checkPause(nowMs);
    this.#checkChoice(endpoint, nowMs);
    this.#model(endpoint).tried(nowMs);
    const connection: Connection = { endpoint, openedMs: null, over: false };
    this.#connection = connection;
    this.#answer(connection, this.#moods.get(endpoint) ?? "works");
    return {
      close: async () => {
        if (connection.over) return;
        // Closed by the driver itself, which has noticed that nobody answers, or was demoted.
        if (this.#isPromoted) this.#count(connection);
        connection.over = true;
        this.#connection = null;
      },
    };
  }

  /**
   * Invariant: the pause before an attempt is what full jitter drew below a ceiling that doubles with each failure and is forgotten
   * only by a connection that lived for `stableMs`; it is longer only where every breaker is open, and then exactly until one may
   * be tried.
   */
  #checkPause(nowMs: number): void {
    if (this.#failedMs === null) return;
    const { backoffFirstMs, backoffMaxMs } = this.#options;
    const ceilingMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** (this.#attempt - 1));
    const wantedMs = Math.max(Math.floor(this.#drawn * ceilingMs), this.#closedMs);
    const pausedMs = nowMs - this.#failedMs;
    const isRight = pausedMs >= wantedMs - 1e-6 && pausedMs <= wantedMs + TIMER_MS;
    assert.ok(isRight, this.#hint(`paused ${pausedMs} ms, not ${wantedMs}, #${this.#attempt}`));
  }

  /** Invariant: of the brokers that no open breaker keeps closed, one of those that have failed least in a row. */
  #checkChoice(endpoint: string, nowMs: number): void {
    const open = [...this.#models].filter(([, model]) => model.waitMs(nowMs) === 0);
    const model = this.#model(endpoint);
    this.#is(model.waitMs(nowMs), 0, `${endpoint} was tried behind an open breaker`);
    const least = Math.min(...open.map(([, { failures }]) => failures));
    this.#is(model.failures, least, `failures of ${endpoint}, which was chosen`);
    if (this.#options.endpointOrder === "spread") return;
    const first = open.find(([, { failures }]) => failures === least)?.[0];
    this.#is(endpoint, first, "the first of the list among equals");
  }

  #answer(connection: Connection, mood: Mood): void {
    if (mood === "silent") return;
    this.#later(connection, 1 + this.#random() * 150, () => {
      if (mood === "refuses") this.#fail(connection);
      else {
        connection.openedMs = this.#clock.monotonicMs();
        this.seen.opened++;
        this.#model(connection.endpoint).opened(connection.openedMs);
        this.#driver.opened();
        if (this.#isCalm) return;
        const livesMs =
          mood === "throws out" ? this.#random() * 5000 : this.#random() ** 2 * 400_000;
        this.#later(connection, livesMs, () => this.#fail(connection));
      }
    });
  }

  /** The cloud acknowledges something, mostly. */
  #acknowledge(): void {
    const connection = this.#connection;
    if (connection === null || connection.openedMs === null || this.#random() < 0.3) return;
    const nowMs = this.#clock.monotonicMs();
    this.#model(connection.endpoint).succeeded(nowMs);
    this.#driver.progressed(nowMs);
  }

  #fail(connection: Connection): void {
    this.#count(connection);
    connection.over = true;
    this.#connection = null;
    this.#driver.failed(new FieldgateError("ERR_UPLINK_CLOSED", "the broker failed"));
  }

  /** What the model makes of a failure. */
  #count({ endpoint, openedMs }: Connection): void {
    const nowMs = this.#clock.monotonicMs();
    const isStable = openedMs !== null && nowMs - openedMs >= this.#options.stableMs;
    if (isStable) this.seen.stable++;
    this.seen.failures++;
    this.#attempt = isStable ? 1 : this.#attempt + 1;
    this.#failedMs = nowMs;
    if (this.#model(endpoint).failed(nowMs)) this.seen.breakersOpened++;
    this.#closedMs = Math.min(...[...this.#models.values()].map((each) => each.waitMs(nowMs)));
  }

  /** Invariant: the status says what is so. */
  #checkStatus(): void {
    const { state, attempt, failures, endpoints } = this.#driver.status();
    const connection = this.#connection;
    if (state === "connected") this.#is(connection?.openedMs !== null, true, "connected");
    if (state === "connecting") this.#is(connection?.openedMs, null, "connecting");
    if (state === "waiting") {
      this.#is(connection, null, "waiting");
      this.#is(attempt, this.#attempt, "attempts");
    }
    if (state === "paused") this.#is(this.#isPromoted, false, "paused");
    this.#is(failures, this.seen.failures, "failures");
    for (const { endpoint, breaker, failures: inRow, opened } of endpoints) {
      const model = this.#model(endpoint);
      this.#is(breaker, model.at, `the breaker of ${endpoint}`);
      this.#is([inRow, opened].join(), [model.failures, model.timesOpened].join(), endpoint);
    }
  }

  #turnMoods(): void {
    for (const endpoint of this.#models.keys()) {
      if (this.#random() < 0.5) continue;
      this.#moods.set(endpoint, MOODS[Math.floor(this.#random() * MOODS.length)] as Mood);
    }
  }

  #model(endpoint: string): BrokerModel {
    return this.#models.get(endpoint) as BrokerModel;
  }

  #later(connection: Connection, ms: number, task: () => void): void {
    void this.#clock.onTime(ms).then(() => {
      if (!connection.over) task();
    });
  }

  #is(value: unknown, wanted: unknown, what: string): void {
    if (!Object.is(value, wanted)) assert.equal(value, wanted, this.#hint(what));
  }

  #hint(what: string): string {
    return `SIM_SEED=${this.#seed} at ${this.#clock.monotonicMs()} ms: ${what}`;
  }
}

/** Timers of the clock are a little early, and then set anew. */
const TIMER_MS = 2;
