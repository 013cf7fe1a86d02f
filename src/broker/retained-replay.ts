import { lowerQoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import { shareOf } from "../mqtt/share.ts";
import type { Granted } from "./aedes-control.ts";
import type { Session, SessionLink } from "./session.ts";

/** Where retained messages are. Undefined: a step that found none. */
interface RetainedSource {
  matching(filter: string): Iterable<PublishFrame | undefined>;
}

interface Replay {
  readonly session: Session;
  readonly link: SessionLink;
  readonly steps: Iterator<void>;
  /** How often in succession its client had not taken what it got. */
  waits: number;
  done(): void;
}

/** Topics looked at in one turn, for all clients together: a few milliseconds. */
const STEPS_MAX = 2000;
/** A client that takes nothing is waited for so many looks; then QoS 0 beyond its bound is dropped, as ever. */
const WAITS_MAX = 50;

/**
 * Retained messages for new subscriptions. Few are given at once; many in slices, one in a turn of the loop, so that a SUBSCRIBE
 * that matches a hundred thousand of them, or a thousand such filters, holds up nobody else.
 */
export class RetainedReplay {
  readonly #sources: readonly RetainedSource[];
  readonly #outputBytesMax: number;
  readonly #afterTurn: (task: () => void) => void;
  #going: Replay[] = [];
  readonly #waiting = new Set<Replay>();
  /** Steps left in this turn. */
  #left = STEPS_MAX;
  #isCalled = false;

  constructor(
    sources: readonly RetainedSource[],
    outputBytesMax: number,
    afterTurn: (task: () => void) => void,
  ) {
    this.#sources = sources;
    this.#outputBytesMax = outputBytesMax;
    this.#afterTurn = afterTurn;
  }

  /** Whether somebody is still to be given something. */
  get isGoing(): boolean {
    return this.#going.length + this.#waiting.size > 0;
  }

  /** Resolves when all are given, or the client has gone; null when that is so at once. */
  give(session: Session, link: SessionLink, granted: readonly Granted[]): Promise<void> | null {
    const steps = this.#stepsFor(session, granted);
    const replay = { session, link, steps, waits: 0, done: () => {} };
    if (this.#going.length === 0 && this.#goOn(replay)) return null;
    return new Promise((resolve) => {
      replay.done = resolve;
      this.#going.push(replay);
      this.#call();
    });
  }

  /** Called every now and then: clients that were slow may have taken something. */
  look(): void {
    for (const replay of this.#waiting) this.#going.push(replay);
    this.#waiting.clear();
    if (this.#going.length > 0) this.#call();
  }

  #call(): void {
    if (this.#isCalled) return;
    this.#isCalled = true;
    this.#afterTurn(() => {
      this.#isCalled = false;
      this.#left = STEPS_MAX;
      this.#turn();
    });
  }

  /** Each in turn, until the steps of this turn are used up. */
  #turn(): void {
    for (let next = this.#going.shift(); next !== undefined; next = this.#going.shift()) {
      if (next.session.link !== next.link || this.#goOn(next)) next.done();
      else if (this.#left > 0) this.#waiting.add(next);
      else this.#going.push(next);
      if (this.#left <= 0) break;
    }
    if (this.#going.length > 0) this.#call();
  }

  /** False when it is not done: no steps are left, or its client has to take something first. */
  #goOn(replay: Replay): boolean {
    this.#call(); // the next turn has its steps again
    while (this.#left > 0) {
      const isBehind = replay.link.outbox.pendingBytes > this.#outputBytesMax / 2;
      if (isBehind && replay.waits < WAITS_MAX) {
        replay.waits++;
        return false;
      }
      if (!isBehind) replay.waits = 0;
      this.#left--;
      if (replay.steps.next().done === true) return true;
    }
    return false;
  }

  *#stepsFor(session: Session, granted: readonly Granted[]): Generator<void> {
    for (const { filter, qos } of granted) {
      if (shareOf(filter) !== null) continue; // no retained messages [MQTT5-4.8.2]
      for (const source of this.#sources) {
        for (const frame of source.matching(filter)) {
          yield;
          if (frame === undefined || !session.mayReceive(frame.topic)) continue;
          const least = lowerQoS(frame.qos, qos);
          if (least === 0) session.deliverNow(frame, true);
          else session.deliverFromMemory(frame, least, true);
        }
      }
    }
  }
}
