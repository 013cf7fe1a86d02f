import type { QoS } from "../mqtt/message.ts";
import { topicMatches } from "../mqtt/topic.ts";
import type { SessionQueue } from "./ports.ts";
import type { Subscription } from "./router.ts";

interface Lapsed {
  readonly qos: QoS;
  /** The last message that was queued under it. */
  readonly throughIndex: number;
}

/** Then the oldest goes. */
const LAPSED_MAX = 1000;

/**
 * What a session was granted by subscriptions that were lowered or ended while messages waited in its queue: these still come,
 * at the lower of their QoS and what was granted when they were queued [MQTT-3.8.4-6]. Empty for nearly every session.
 */
export class LapsedGrants {
  readonly #byFilter = new Map<string, Lapsed>();

  add({ filter, qos }: Subscription, { headIndex, tailIndex }: SessionQueue): void {
    for (const [known, { throughIndex }] of this.#byFilter) {
      if (throughIndex <= headIndex) this.#byFilter.delete(known);
    }
    if (tailIndex === headIndex) return;
    const before = this.#byFilter.get(filter)?.qos ?? 0;
    this.#byFilter.delete(filter);
    this.#byFilter.set(filter, { qos: before > qos ? before : qos, throughIndex: tailIndex });
    if (this.#byFilter.size <= LAPSED_MAX) return;
    for (const oldest of this.#byFilter.keys()) {
      this.#byFilter.delete(oldest);
      return;
    }
  }

  /** For a message of that index; null when nothing is known. */
  granted(topic: string, index: number): QoS | null {
    let granted: QoS | null = null;
    for (const [filter, { qos, throughIndex }] of this.#byFilter) {
      if (index > throughIndex || !topicMatches(filter, topic)) continue;
      if (granted === null || qos > granted) granted = qos;
    }
    return granted;
  }
}
