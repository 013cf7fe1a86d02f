import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { Publisher } from "./intake.ts";
import type { Route, SharedQueue } from "./router.ts";
import type { Session } from "./session.ts";

/** A queue of a shared group that took a message, and the message's index in it. */
export interface SharedPlace {
  readonly share: SharedQueue;
  readonly index: number;
}

/**
 * Told of a message that may go on.
 * @param token given back to the publisher once it is kept; negative when nobody waits
 * @param indexes for each of route.queued the index in its queue, 0 for a queue that did not take it; null when it is not kept
 */
export type Released = (
  frame: PublishFrame,
  route: Route<Session>,
  publisher: Publisher,
  token: number,
  indexes: readonly number[] | null,
  shared: readonly SharedPlace[],
) => void;

/**
 * Messages on their way to the disk, and those that wait behind them, in order of seq. A ring of places that are used again: what is made
 * for each message and lives until its commit is what garbage collection costs most.
 */
export class Uncommitted {
  readonly #released: Released;
  #places: Place[] = [];
  #first = 0;
  #length = 0;
  /** The most that waited since nothing did. */
  #most = 0;
  /** How often in succession that was less than a quarter of the room. */
  #roomy = 0;

  constructor(released: Released) {
    this.#released = released;
  }

  readonly push: (seq: number, ...message: Parameters<Released>) => void = (
    seq,
    frame,
    route,
    publisher,
    token,
    indexes,
    shared,
  ) => {
    if (this.#length === this.#places.length) this.#grow();
    const at = (this.#first + this.#length) & (this.#places.length - 1);
    const place = this.#places[at] as Place;
    place.seq = seq;
    place.frame = frame;
    place.route = route;
    place.publisher = publisher;
    place.token = token;
    place.indexes = indexes;
    place.shared = shared;
    this.#length++;
    if (this.#length > this.#most) this.#most = this.#length;
  };

  /** Lets go of all up to that seq, one after the other. */
  release(durableSeq: number): void {
    while (this.#length > 0) {
      const place = this.#places[this.#first] as Place;
      const { seq, frame, route, publisher, token, indexes, shared } = place;
      if (seq > durableSeq || frame === null || route === null || publisher === null) return;
      place.frame = null;
      place.route = null;
      place.publisher = null;
      place.indexes = null;
      place.shared = NOWHERE;
      this.#first = (this.#first + 1) & (this.#places.length - 1);
      this.#length--;
      this.#released(frame, route, publisher, token, indexes, shared);
    }
    this.#shrink();
  }

  /** Nothing waits. A ring that grew while the disk was slow is let go of, but not between two commits of a flood that fill it. */
  #shrink(): void {
    this.#roomy = this.#most * 4 < this.#places.length ? this.#roomy + 1 : 0;
    this.#most = 0;
    if (this.#roomy < ROOMY_MAX || this.#places.length <= PLACES_KEPT_MAX) return;
    this.#places = [];
    this.#roomy = 0;
  }

  #grow(): void {
    const places = this.#places;
    const size = Math.max(PLACES_MIN, places.length * 2);
    this.#places = Array.from({ length: size }, (_, i) =>
      i < places.length ? (places[(this.#first + i) & (places.length - 1)] as Place) : new Place(),
    );
    this.#first = 0;
  }
}

const PLACES_MIN = 16;
/** Room for so many is kept for good. */
const PLACES_KEPT_MAX = 16_384;
const ROOMY_MAX = 100;
const NOWHERE: readonly never[] = [];

class Place {
  seq = 0;
  frame: PublishFrame | null = null;
  route: Route<Session> | null = null;
  publisher: Publisher | null = null;
  token = -1;
  indexes: readonly number[] | null = null;
  shared: readonly SharedPlace[] = NOWHERE;
}
