import { Fifo } from "../base/fifo.ts";
import { PublishFrame } from "../mqtt/publish-frame.ts";

/** What one connection has published and the store had no room for yet: in order, with copies of the bytes. */
export class Held {
  readonly #frames = new Fifo<PublishFrame>();
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
  }

  peek(): PublishFrame | undefined {
    return this.#frames.peek();
  }

  shift(): void {
    const frame = this.#frames.shift();
    if (frame !== undefined) this.bytes -= frame.end;
  }
}
