/** A client, and how many messages a second it publishes. */
export interface Talker {
  readonly clientId: string;
  readonly perSecond: number;
}

interface Counted {
  readonly clientId: string;
  readonly published: number;
}

const WINDOW_MS = 5000;

/** How many messages a second each client publishes, over the last whole window of five seconds. */
export class Talkers {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #before = new Map<Counted, number>();
  #last: readonly Talker[] = [];

  /** All who published in the last window, those who published most first. */
  get all(): readonly Talker[] {
    return this.#last;
  }

  /** To be called about once a second. */
  watch(nowMs: number, connections: Iterable<Counted>): void {
    const seconds = (nowMs - this.#sinceMs) / 1000;
    if (seconds * 1000 < WINDOW_MS) return;
    const now = new Map<Counted, number>();
    const rates: Talker[] = [];
    for (const each of connections) {
      now.set(each, each.published);
      const count = each.published - (this.#before.get(each) ?? 0);
      if (count > 0 && Number.isFinite(seconds)) {
        rates.push({ clientId: each.clientId, perSecond: count / seconds });
      }
    }
    this.#before = now;
    this.#sinceMs = nowMs;
    this.#last = rates.sort((a, b) => b.perSecond - a.perSecond);
  }
}
