import assert from "node:assert/strict";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Random } from "../../src/base/random.ts";
import type { Cloud, CloudConnection, CloudListener } from "../../src/uplink/cloud.ts";
import type { SourceEntry } from "../../src/uplink/source.ts";
import { SimClock } from "../support/sim-clock.ts";

/**
 * Virtual time in which what is put off to the end of a turn comes before any timer, and timers fire a little early, as
 * those of the machine do now and then.
 */
export class TurnClock extends SimClock {
  sleeps = 0;

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps++;
    const own = new AbortController();
    const onAbort = () => own.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await super.sleep(ms >= 2 ? ms - 0.7 : ms, own.signal);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** For the line and the cloud: with timers that are early by turns, what was sent first would arrive second. */
  onTime(ms: number): Promise<void> {
    return super.sleep(ms);
  }

  override afterTurn(task: () => void): void {
    queueMicrotask(task);
  }
}

/** How likely each misfortune is, for one opening or one message. */
export interface Faults {
  readonly refusesToOpen: number;
  readonly neverAnswers: number;
  readonly cuts: number;
  readonly losesAcknowledgement: number;
  readonly stalls: number;
}

export const NO_FAULTS: Faults = {
  refusesToOpen: 0,
  neverAnswers: 0,
  cuts: 0,
  losesAcknowledgement: 0,
  stalls: 0,
};

/**
 * A cloud with everything that goes wrong on the way: within one connection messages arrive in order, acknowledgements
 * come back in any order; a cut loses what is under way in both directions.
 */
export class SimCloud implements Cloud {
  /** First arrivals, in order. */
  readonly arrivals: SourceEntry[] = [];
  readonly endpoints: string[] = [];
  /** Seqs whose acknowledgement or refusal was heard by the uplink. */
  readonly settled = new Set<number>();
  duplicates = 0;
  refusals = 0;
  mostInflight = 0;
  faults: Faults;
  readonly #clock: TurnClock;
  readonly #random: Random;
  readonly #arrived = new Set<number>();

  constructor(clock: TurnClock, random: Random, faults: Faults) {
    this.#clock = clock;
    this.#random = random;
    this.faults = faults;
  }

  open(endpoint: string, listener: CloudListener): CloudConnection {
    this.endpoints.push(endpoint);
    const connection = new SimConnection(this, listener, this.#clock, this.#random);
    if (!this.chance("neverAnswers")) connection.answer();
    return connection;
  }

  chance(fault: keyof Faults): boolean {
    return this.#random() < this.faults[fault];
  }

  arrive(entry: SourceEntry): void {
    if (this.#arrived.has(entry.seq)) {
      this.duplicates++;
      return;
    }
    this.#arrived.add(entry.seq);
    this.arrivals.push(entry);
  }
}

class SimConnection implements CloudConnection {
  readonly #cloud: SimCloud;
  readonly #listener: CloudListener;
  readonly #clock: TurnClock;
  readonly #random: Random;
  readonly #receiveMax: number;
  readonly #tokens = new Set<number>();
  #arrivesMs = 0;
  #stalled = false;
  #over = false;

  constructor(cloud: SimCloud, listener: CloudListener, clock: TurnClock, random: Random) {
    this.#cloud = cloud;
    this.#listener = listener;
    this.#clock = clock;
    this.#random = random;
    this.#receiveMax = 1 + Math.floor(random() * 20);
  }

  answer(): void {
    const refuses = this.#cloud.chance("refusesToOpen");
    this.#later(1 + this.#random() * 200, () => {
      if (refuses) this.#fail("refused");
      else this.#listener.opened({ protocol: "5", receiveMax: this.#receiveMax });
    });
  }

  send(token: number, entry: SourceEntry): number {
    assert.ok(!this.#over, "sent over a connection that is over");
    assert.ok(!this.#tokens.has(token), "a token used twice");
    this.#tokens.add(token);
    this.#cloud.mostInflight = Math.max(this.#cloud.mostInflight, this.#tokens.size);
    assert.ok(this.#tokens.size <= this.#receiveMax, "more in flight than the cloud allows");
    const nowMs = this.#clock.monotonicMs();
    this.#arrivesMs = Math.max(this.#arrivesMs, nowMs + this.#random() * 30);
    this.#later(this.#arrivesMs - nowMs, () => this.#arrived(token, entry));
    return entry.message.payload.length;
  }

  flush(): void {}

  prompt(): void {}

  async close(): Promise<void> {
    this.#over = true;
  }

  #arrived(token: number, entry: SourceEntry): void {
    if (this.#cloud.chance("cuts")) {
      this.#fail("cut before it arrived");
      return;
    }
    const refused = entry.message.topic.endsWith("/forbidden");
    if (!refused) this.#cloud.arrive(entry);
    if (this.#cloud.chance("cuts")) {
      this.#fail("cut before the acknowledgement");
      return;
    }
    if (this.#cloud.chance("stalls")) this.#stalled = true;
    if (this.#stalled || this.#cloud.chance("losesAcknowledgement")) return;
    this.#later(this.#random() * 60, () => {
      this.#tokens.delete(token);
      this.#cloud.settled.add(entry.seq);
      if (refused) {
        this.#cloud.refusals++;
        this.#listener.refused(token, "not-authorized");
      } else this.#listener.acknowledged(token);
    });
  }

  #fail(why: string): void {
    this.#over = true;
    this.#listener.closed(new FieldgateError("ERR_UPLINK_CLOSED", why));
  }

  #later(ms: number, task: () => void): void {
    void this.#clock.onTime(ms).then(() => {
      if (!this.#over) task();
    });
  }
}
