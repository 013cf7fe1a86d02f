import type { Route } from "./router.ts";

/** The route of the topic that one connection published to last: of a burst on one topic only the first is looked up. */
export class LastRoute<S> {
  readonly #router: { readonly version: number; route(topic: string): Route<S> };
  #route: Route<S> | null = null;
  #bytes: Buffer = NOTHING;

  constructor(router: { readonly version: number; route(topic: string): Route<S> }) {
    this.#router = router;
  }

  /** Of the topic in these bytes; null when they are not well-formed UTF-8 [MQTT-1.5.3-1]. */
  of(bytes: Buffer, start: number, end: number): Route<S> | null {
    const last = this.#route;
    if (
      last !== null &&
      last.version === this.#router.version &&
      sameBytes(this.#bytes, bytes, start, end)
    ) {
      return last;
    }
    const topic = bytes.toString("utf8", start, end);
    const topicBytes = Buffer.from(topic);
    if (!sameBytes(topicBytes, bytes, start, end)) return null;
    this.#bytes = topicBytes;
    this.#route = this.#router.route(topic);
    return this.#route;
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

function sameBytes(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) {
    if (known[i] !== bytes[start + i]) return false;
  }
  return true;
}

const NOTHING = Buffer.alloc(0);
