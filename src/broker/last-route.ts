import type { Route } from "./router.ts";

/** The route of the topic that one connection published to last: of a burst on one topic only the first is looked up. */
export class LastRoute<S> {
  readonly #router: { readonly version: number; route(topic: string): Route<S> };
  #route: Route<S> | null = null;
  /** Its topic's bytes: memory of this connection's own, used again for the next one. */
  #bytes: Buffer = NOTHING;
  #length = 0;

  constructor(router: { readonly version: number; route(topic: string): Route<S> }) {
    this.#router = router;
  }

  /** Of the topic in these bytes; null when they are not well-formed UTF-8 [MQTT-1.5.3-1]. */
  of(bytes: Buffer, start: number, end: number): Route<S> | null {
    const last = this.#route;
    if (last !== null && last.version === this.#router.version && this.#isLast(bytes, start, end)) {
      return last;
    }
    const topic = bytes.toString("utf8", start, end);
    const room = end - start + LONGEST_CHARACTER;
    if (this.#bytes.length < room) this.#bytes = Buffer.allocUnsafeSlow(Math.max(room, ROOM_MIN));
    this.#length = this.#bytes.write(topic);
    this.#route = this.#isLast(bytes, start, end) ? this.#router.route(topic) : null;
    return this.#route;
  }

  #isLast(bytes: Buffer, start: number, end: number): boolean {
    const known = this.#bytes;
    if (this.#length !== end - start) return false;
    for (let i = 0; i < this.#length; i++) {
      if (known[i] !== bytes[start + i]) return false;
    }
    return true;
  }
}

/** The last answer about publishing, and to what: a route is made anew when rights change. */
export class LastRight {
  #route: Judged | null = null;
  #mayPublish = false;

  of(route: Judged, rights: { mayPublish(topic: string): boolean }): boolean {
    if (route !== this.#route) {
      this.#route = route;
      this.#mayPublish = !route.reserved && rights.mayPublish(route.topic);
    }
    return this.#mayPublish;
  }
}

type Judged = Pick<Route<unknown>, "topic" | "reserved">;

/** In UTF-8: where a topic is not well-formed, what stands for that is written whole, or not at all. */
const LONGEST_CHARACTER = 4;
const ROOM_MIN = 64;
const NOTHING = Buffer.alloc(0);
