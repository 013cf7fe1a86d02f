import { Fifo } from "../base/fifo.ts";
import { PublishFrame } from "../mqtt/publish-frame.ts";

/** What one connection has published and the store had no room for yet: in order, with copies of the bytes. */
export class Held {
  readonly #frames = new Fifo<PublishFrame>();
  /** How many there are to each topic. */
  readonly #topics = new Map<string, number>();
  bytes = 0;

  get length(): number {
    return this.#frames.length;
  }

  push(frame: PublishFrame): void {
    const { start, topicStart, topicEnd, end, topic } = frame;
    const bytes = Buffer.from(frame.bytes.subarray(start, end));
    this.#frames.push(
      new PublishFrame(bytes, 0, topicStart - start, topicEnd - start, end - start, topic),
    );
    this.bytes += bytes.length;
    this.#topics.set(frame.topic, (this.#topics.get(frame.topic) ?? 0) + 1);
  }

  /** Whether a message has to wait behind it: one of QoS 0 only for order's sake within its topic [MQTT-4.6.0-6]. */
  precedes({ qos, topic }: PublishFrame): boolean {
    return this.length > 0 && (qos > 0 || this.#topics.has(topic));
  }

  peek(): PublishFrame | undefined {
    return this.#frames.peek();
  }

  shift(): void {
    const frame = this.#frames.shift();
    if (frame === undefined) return;
    this.bytes -= frame.end;
    const others = (this.#topics.get(frame.topic) ?? 1) - 1;
    if (others > 0) this.#topics.set(frame.topic, others);
    else this.#topics.delete(frame.topic);
  }
}
