import { Fifo } from "../base/fifo.ts";
import type { QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export interface WaitingMessage {
  readonly frame: PublishFrame;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** So many are about to be sent: they stay where they came. More would keep that memory, large chunks perhaps. */
const PASSING_MAX = 256;
/** What a message takes beside its bytes. */
const MESSAGE_BYTES = 100;

/** What waits in memory for one session, in order: of a clean one all of QoS 1 and 2, else retained messages. */
export class Waiting {
  readonly #room: WaitingRoom;
  readonly #messages = new Fifo<WaitingMessage>();
  /** Frees some of it for other sessions, when all together have too much. */
  readonly giveWay: () => void;
  #isOver = false;
  /** Whether some may still lie where they came. */
  #isPassing = false;
  bytes = 0;

  constructor(room: WaitingRoom, giveWay: () => void) {
    this.#room = room;
    this.giveWay = giveWay;
  }

  get length(): number {
    return this.#messages.length;
  }

  /** Bytes of memory, those that each message takes for itself included. */
  get taken(): number {
    return this.bytes + this.length * MESSAGE_BYTES;
  }

  /** Whether the memory that all sessions share takes one more for this one. */
  get hasRoom(): boolean {
    return this.#room.hasRoomFor(this);
  }

  push(message: WaitingMessage): void {
    if (this.#isOver) return;
    const { frame } = message;
    const isPassing = this.#messages.length < PASSING_MAX;
    this.#isPassing ||= isPassing;
    this.#messages.push(isPassing ? message : { ...message, frame: frame.kept() });
    this.bytes += frame.end - frame.start;
    this.#room.changed(this, frame.end - frame.start + MESSAGE_BYTES);
  }

  shift(): WaitingMessage | undefined {
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    const length = message.frame.end - message.frame.start;
    this.bytes -= length;
    this.#room.changed(this, -length - MESSAGE_BYTES);
    return message;
  }

  /** Those that were passing have stayed: they get memory of their own. */
  settle(): void {
    if (!this.#isPassing) return;
    this.#isPassing = false;
    this.#messages.replace(PASSING_MAX, (each) => ({ ...each, frame: each.frame.kept() }));
  }

  /** The session is over: nothing waits for it, and nothing will. */
  end(): void {
    this.#isOver = true;
    while (this.shift() !== undefined);
  }
}
