import assert from "node:assert/strict";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { Cloud, CloudConnection, CloudListener } from "../../src/uplink/cloud.ts";
import { compileRules, LANES } from "../../src/uplink/rules.ts";
import type { SourceEntry, SourceRows } from "../../src/uplink/source.ts";
import { type Uplink, uplink } from "../../src/uplink/uplink.ts";
import { MemorySource } from "../support/memory-source.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { type Faults, NO_FAULTS, SimCloud, TurnClock } from "./uplink-cloud.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STEPS = 220;
const CALM_STEPS = 6 * 144;
/** Of days: hours and budgets begin and end. */
const LONG_STEP_MS = 10 * 60_000;
/** Of minutes: the right to send comes and goes, which is looked at twice a second. */
const SHORT_STEP_MS = 2000;
const MESSAGES = 150;
const MESSAGE_BYTES_MAX = 3000;
const RATE_OVER_MS = 10_000;
const ACKNOWLEDGE_MS = 2000;
/** Timers of the clock are a little early, and then set anew. */
const TIMER_MS = 3;
const PREFIX = { alarm: "alarm/a", telemetry: "plant/a", bulk: "bulk/a" } as const;
type Name = keyof typeof PREFIX;
const NAMES = Object.keys(PREFIX) as Name[];

/** How often something happened. */
export const NOTHING_SEEN = {
  sent: 0,
  heldByHours: 0,
  heldByBudget: 0,
  crashes: 0,
  clocksSet: 0,
  demoted: 0,
  stalled: 0,
};

/** An uplink with limits, all that can befall it, and a book of what it has sent when. */
export class MannersField {
  readonly seen = { ...NOTHING_SEEN };
  readonly #seed: number;
  readonly #random: Random;
  readonly #clock = new WallClock();
  readonly #source: SlowSource;
  readonly #cloud: SimCloud;
  readonly #options: UplinkConfig;
  readonly #hours: readonly [from: number, to: number] | null;
  readonly #permit: ToggledPermit | null;
  readonly #stepMs: number;
  readonly #accepted = new Map<number, number[]>(Object.values(LANES).map((lane) => [lane, []]));
  #service: Uplink | null = null;
  /** Of this life: a restart has a burst anew. */
  #sentMs: number[] = [];
  #day = "";
  #dayBytes = 0;
  #toPublish = MESSAGES;

  constructor(seed: number, random: Random) {
    this.#seed = seed;
    this.#random = random;
    const some = (least: number, most: number) => Math.floor(least + random() * (most - least));
    this.#cloud = new SimCloud(this.#clock, random, faultsOf(random));
    this.#source = new SlowSource(this.#clock, random);
    const isLong = random() < 0.7;
    this.#stepMs = isLong ? LONG_STEP_MS : SHORT_STEP_MS;
    this.#permit = isLong ? null : new ToggledPermit();
    const from = some(0, 24);
    this.#hours = isLong && random() < 0.7 ? [from, (from + some(4, 12)) % 24] : null;
    const dailyBytes = isLong && random() < 0.7 ? some(60_000, 120_000) : undefined;
    const messagesPerSecond = random() < 0.7 ? some(1, 20) : undefined;
    const base = uplinkOptions();
    const bulk = this.#hours === null ? {} : { hours: [this.#hours.map(asTime).join("-")] };
    this.#options = uplinkOptions({
      endpoints: ["mqtt://a", "mqtt://b"],
      limits: {
        ...(dailyBytes === undefined ? {} : { dailyBytes }),
        ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
      },
      lanes: { ...base.lanes, bulk: { ...base.lanes.bulk, ...bulk } },
      windowMax: some(1, 12),
      acknowledgeTimeoutMs: ACKNOWLEDGE_MS,
    });
  }

  async storm(): Promise<void> {
    await this.#start();
    for (let step = 0; step < STEPS; step++) {
      if (this.#random() < 0.3) this.#publish(1 + Math.floor(this.#random() * 6));
      if (this.#random() < 0.02) await this.#crash();
      if (this.#random() < 0.02) this.#setClock();
      if (this.#random() < 0.04) this.#toggle();
      await this.#clock.run(this.#clock.monotonicMs() + this.#stepMs);
    }
  }

  /** Everything works and the clock is right: within days that have room, everything arrives, once and in order. */
  async calm(): Promise<void> {
    this.#cloud.faults = NO_FAULTS;
    this.#clock.shiftMs = 0;
    if (this.#permit?.may() === false) this.#toggle();
    this.#publish(this.#toPublish);
    for (let step = 0; step < CALM_STEPS && this.#queued > 0; step++) {
      await this.#clock.run(this.#clock.monotonicMs() + this.#stepMs);
    }
    for (const [lane, seqs] of this.#accepted) {
      const arrived = this.#cloud.arrivals.filter(({ message }) => laneOf(message.topic) === lane);
      assert.deepEqual(
        arrived.map(({ seq }) => seq),
        seqs,
        this.#hint(`what came of lane ${lane}`),
      );
    }
    assert.equal(this.#queued, 0, this.#hint("what waits"));
    await this.#stop();
  }

  get #queued(): number {
    const lanes = this.#service?.status().lanes;
    return NAMES.reduce((sum, name) => sum + (lanes?.[name].queued ?? 0), 0);
  }

  #publish(messages: number): void {
    for (let count = 0; count < messages && this.#toPublish > 0; count++) {
      this.#toPublish--;
      const name = NAMES[Math.floor(this.#random() * NAMES.length)] as Name;
      const bytes = 1 + Math.floor(this.#random() * MESSAGE_BYTES_MAX);
      const seq = this.#source.append(LANES[name], PREFIX[name], "x".repeat(bytes));
      this.#accepted.get(LANES[name])?.push(seq);
    }
    this.#source.commit();
  }

  /** Asked for each message as it is sent. */
  #check({ message }: SourceEntry, bytes: number): void {
    const lane = laneOf(message.topic);
    const nowMs = this.#clock.monotonicMs();
    const wallMs = this.#clock.wallMs();
    this.seen.sent++;
    // Invariant: nothing is sent by who may not.
    assert.ok(this.#permit?.may() !== false, this.#hint("sent without a right to"));
    // Invariant: bulk leaves in its hours only, by the clock on the wall as it is then.
    if (lane === LANES.bulk && this.#hours !== null) {
      assert.ok(isWithin(this.#hours, wallMs), this.#hint(`bulk left at ${asIso(wallMs)}`));
    }
    this.#checkRate(lane, nowMs);
    this.#checkBudget(lane, asIso(wallMs).slice(0, 10), bytes);
  }

  /** Invariant: over any time at most rate × time, a burst of a second, and one message; alarms are not held. */
  #checkRate(lane: number, nowMs: number): void {
    const { messagesPerSecond } = this.#options.limits;
    if (messagesPerSecond === undefined || lane === LANES.alarm) return;
    this.#sentMs.push(nowMs);
    const recent = this.#sentMs.filter((ms) => ms > nowMs - RATE_OVER_MS);
    this.#sentMs = recent;
    const most = (messagesPerSecond * RATE_OVER_MS) / 1000 + messagesPerSecond + 1;
    assert.ok(recent.length <= most, this.#hint(`${recent.length} in 10 s, ${most} allowed`));
  }

  /**
   * Invariant: on one day telemetry and bulk send less than the budget and one message, over all crashes; a day begins when
   * the clock on the wall has first shown it, and not again when it goes back.
   */
  #checkBudget(lane: number, day: string, bytes: number): void {
    const { dailyBytes } = this.#options.limits;
    if (dailyBytes === undefined || lane === LANES.alarm) return;
    if (day > this.#day) {
      this.#day = day;
      this.#dayBytes = 0;
    }
    assert.ok(this.#dayBytes < dailyBytes, this.#hint(`${this.#dayBytes} bytes on ${day}`));
    this.#dayBytes += bytes;
  }

  #setClock(): void {
    this.seen.clocksSet++;
    const kinds = [0, -this.#clock.wallMs() + 1000, (this.#random() - 0.5) * 8 * HOUR_MS];
    this.#clock.shiftMs = kinds[Math.floor(this.#random() * kinds.length)] ?? 0;
  }

  #toggle(): void {
    if (this.#permit?.may()) this.seen.demoted++;
    this.#permit?.toggle();
  }

  async #crash(): Promise<void> {
    this.seen.crashes++;
    this.#source.isDead = true;
    await this.#stop();
    this.#source.crash(this.#random);
    this.#sentMs = [];
    await this.#start();
  }

  async #start(): Promise<void> {
    const identity = { gateway: "g", site: "s" };
    this.#source.isDead = false;
    this.#service = uplink(this.#options, {
      clock: this.#clock,
      log: silentLog,
      random: this.#random,
      journal: this.#source,
      cloud: this.#watched(),
      route: compileRules(this.#options.rules, identity),
      identity,
      ...(this.#permit === null ? {} : { permit: this.#permit }),
      limits: { drainMsMax: 0 },
    });
    await this.#service.start(new AbortController().signal);
  }

  async #stop(): Promise<void> {
    const service = this.#service;
    if (service === null) return;
    const { pace, lastError } = service.status();
    this.seen.heldByHours += pace?.holds.hours ?? 0;
    this.seen.heldByBudget += pace?.holds.budget ?? 0;
    if (lastError?.["code"] === "ERR_UPLINK_STALLED") this.seen.stalled++;
    let done = false;
    const stop = service.stop().then(() => {
      done = true;
    });
    while (!done) await this.#clock.run(this.#clock.monotonicMs() + 1);
    await stop;
  }

  /** The cloud, with a look at each message before it takes it. */
  #watched(): Cloud {
    return {
      open: (endpoint, listener) => {
        const owed = new Owed(this.#clock, (silentMs) => this.#checkProgress(silentMs));
        const connection = this.#cloud.open(endpoint, owed.listening(listener));
        return {
          send: (token, entry, to) => {
            owed.sent(token);
            const bytes = connection.send(token, entry, to);
            assert.ok(typeof bytes === "number");
            this.#check(entry, bytes);
            return bytes;
          },
          flush: () => connection.flush(),
          prompt: () => connection.prompt(),
          close: (how) => {
            owed.closed();
            return connection.close(how);
          },
        } satisfies CloudConnection;
      },
    };
  }

  /** Invariant: with messages in flight and nothing acknowledged the connection is closed at the deadline. */
  #checkProgress(silentMs: number): void {
    const isInTime = silentMs <= ACKNOWLEDGE_MS + TIMER_MS;
    assert.ok(isInTime, this.#hint(`a cloud that was silent for ${silentMs} ms was kept`));
  }

  #hint(what: string): string {
    return `SIM_SEED=${this.#seed} at ${this.#clock.monotonicMs()} ms: ${what}`;
  }
}

/** How long a connection has owed an acknowledgement. */
class Owed {
  readonly #clock: TurnClock;
  readonly #silent: (silentMs: number) => void;
  readonly #tokens = new Set<number>();
  #sinceMs = 0;

  constructor(clock: TurnClock, silent: (silentMs: number) => void) {
    this.#clock = clock;
    this.#silent = silent;
  }

  listening(listener: CloudListener): CloudListener {
    const heard = (token: number) => {
      this.#look();
      this.#tokens.delete(token);
      this.#sinceMs = this.#clock.monotonicMs();
    };
    return {
      ...listener,
      acknowledged: (token) => {
        heard(token);
        listener.acknowledged(token);
      },
      refused: (token, reason) => {
        heard(token);
        listener.refused(token, reason);
      },
    };
  }

  sent(token: number): void {
    if (this.#tokens.size === 0) this.#sinceMs = this.#clock.monotonicMs();
    this.#look();
    this.#tokens.add(token);
  }

  closed(): void {
    this.#look();
    this.#tokens.clear();
  }

  #look(): void {
    if (this.#tokens.size > 0) this.#silent(this.#clock.monotonicMs() - this.#sinceMs);
  }
}

/** A clock on the wall that can be set. */
class WallClock extends TurnClock {
  shiftMs = 0;

  override wallMs(): number {
    return Math.max(0, super.wallMs() + this.shiftMs);
  }
}

/** A journal whose rows take a while to the disk, and do not get there when the power is cut before. */
class SlowSource extends MemorySource {
  isDead = false;
  readonly #clock: TurnClock;
  readonly #random: Random;

  constructor(clock: TurnClock, random: Random) {
    super({ beforeRead: () => clock.sleep(random() * 5) });
    this.#clock = clock;
    this.#random = random;
  }

  override rows(): SourceRows {
    const rows = super.rows();
    return {
      get: (key) => rows.get(key),
      put: async (key, value) => {
        await this.#clock.sleep(this.#random() * 20);
        if (this.isDead) throw new FieldgateError("ERR_STORE_CLOSED", "the power is off");
        await rows.put(key, value);
      },
    };
  }
}

class ToggledPermit {
  #may = true;
  #epoch = 1;
  readonly #followers = new Set<() => void>();

  may(): boolean {
    return this.#may;
  }

  epoch(): number {
    return this.#epoch;
  }

  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  }

  toggle(): void {
    this.#may = !this.#may;
    if (this.#may) this.#epoch++;
    for (const changed of this.#followers) changed();
  }
}

function laneOf(topic: string): number {
  const name = NAMES.find((each) => PREFIX[each] === topic);
  return name === undefined ? 0 : LANES[name];
}

function isWithin([from, to]: readonly [number, number], wallMs: number): boolean {
  const hour = Math.floor((wallMs % DAY_MS) / HOUR_MS);
  return from < to ? from <= hour && hour < to : hour >= from || hour < to;
}

function asTime(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

function asIso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

function faultsOf(random: Random): Faults {
  const some = (most: number) => (random() < 0.5 ? 0 : random() * most);
  return {
    refusesToOpen: some(0.5),
    neverAnswers: some(0.3),
    cuts: some(0.1),
    losesAcknowledgement: some(0.05),
    stalls: some(0.05),
  };
}
