import { Fifo } from "../base/fifo.ts";
import type { QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";

export interface WaitingMessage {
  readonly frame: PublishFrame;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** So many are about to be sent: they stay where they came. More would keep that memory, large chunks perhaps. */
const PASSING_MAX = 256;

/** What waits in memory for one session, in order: of a clean one all of QoS 1 and 2, else retained messages. */
export class Waiting {
  readonly #messages = new Fifo<WaitingMessage>();
  bytes = 0;

  get length(): number {
    return this.#messages.length;
  }

  push(message: WaitingMessage): void {
    const { frame } = message;
    const isPassing = this.#messages.length < PASSING_MAX;
    this.#messages.push(isPassing ? message : { ...message, frame: frame.kept() });
    this.bytes += frame.end - frame.start;
  }

  shift(): WaitingMessage | undefined {
    const message = this.#messages.shift();
    if (message !== undefined) this.bytes -= message.frame.end - message.frame.start;
    return message;
  }
}
