import type { FieldgateError } from "../base/errors.ts";
import { Fifo } from "../base/fifo.ts";
import type { Result } from "./answer.ts";
import type { CommandConnection } from "./command-cloud.ts";

export interface Answer {
  /** Topic at the cloud. */
  readonly to: string;
  readonly id: string | null;
  /** Of the command. */
  readonly topic: string;
  readonly correlation: Uint8Array | null;
  readonly result: Result;
}

export interface Reply {
  readonly answer?: Answer | null;
  readonly acknowledge?: {
    readonly type: "puback" | "pubrec" | "pubcomp";
    readonly packetId: number;
    readonly code: number;
  } | null;
}

export interface Expected {
  settle(reply: Reply): void;
}

export interface LineWorld {
  readonly connection: CommandConnection;
  /** How many answers the cloud lets be in flight. */
  readonly answersMax: number;
  /**
   * With more commands than this that nothing was said about, no more are read while they wait for the disk; while they wait for the
   * cloud to take answers, the oldest goes without one: its word that it takes them would come behind what is not read.
   */
  readonly waitingMax: number;
  readonly protocol: "5" | "3.1.1";
  /** Hands an answer over; false when it cannot be sent at all. */
  answer(answer: Answer): boolean;
  /** An answer that is not given: the cloud does not take those before. */
  unanswered(answer: Answer): void;
  failed(error: FieldgateError): void;
}

/**
 * What is said to the cloud over one connection, in the order in which commands came [MQTT-4.6.0-2]. The answer to a command
 * stands on the line before its acknowledgement: a cloud that has taken the acknowledgement has taken the answer, and one
 * that has not sends the command again, and is answered again. So answers need no memory of their own.
 */
export class ReplyLine {
  readonly #world: LineWorld;
  readonly #expected = new Fifo<{ reply: Reply | null; last: FieldgateError | null }>();
  #answersInflight = 0;
  #refusing = false;
  #takesNoMore = false;
  #ended = false;

  constructor(world: LineWorld) {
    this.#world = world;
  }

  /** Nothing is taken by this line any more. */
  get refusing(): boolean {
    return this.#refusing || this.#ended;
  }

  /** A place for what will be said, in order. */
  expect(): Expected {
    const place: { reply: Reply | null; last: FieldgateError | null } = { reply: null, last: null };
    this.#expected.push(place);
    this.#flow();
    return {
      settle: (reply) => {
        place.reply = reply;
        this.#say();
      },
    };
  }

  /** Says this last, then gives the connection up. */
  refuse(error: FieldgateError, reply: Reply): void {
    this.#refusing = true;
    this.#expected.push({ reply, last: error });
    this.#say();
  }

  /** An answer was taken: the next one may leave. */
  answered(): void {
    this.#answersInflight--;
    this.#say();
  }

  /** Nothing more is read. What was taken is still answered and acknowledged. */
  takeNoMore(): void {
    this.#takesNoMore = true;
    this.#flow();
  }

  /** The connection is closed: what is settled from now on is said by nobody. */
  end(): void {
    this.#ended = true;
  }

  #say(): void {
    for (;;) {
      const next = this.#expected.peek();
      if (this.#ended || next === undefined || next.reply === null) break;
      const { answer = null, acknowledge = null } = next.reply;
      const isHeldUp = answer !== null && this.#answersInflight >= this.#world.answersMax;
      if (isHeldUp && !this.#isFull) break;
      this.#expected.shift();
      if (answer !== null) this.#answer(answer, isHeldUp);
      if (acknowledge !== null) this.#acknowledge(acknowledge);
      if (next.last !== null) {
        this.#world.connection.flush();
        this.#world.failed(next.last);
        return;
      }
    }
    if (this.#ended) return;
    this.#flow();
    this.#world.connection.flush();
  }

  #answer(answer: Answer, isHeldUp: boolean): void {
    if (isHeldUp) this.#world.unanswered(answer);
    else if (this.#world.answer(answer)) this.#answersInflight++;
  }

  #acknowledge({ type, packetId, code }: NonNullable<Reply["acknowledge"]>): void {
    const sent = this.#world.protocol === "5" ? code : 0;
    this.#world.connection.acknowledge(type, packetId, sent);
  }

  #flow(): void {
    this.#world.connection.hold(this.#isFull || this.#takesNoMore);
  }

  get #isFull(): boolean {
    return this.#expected.length > this.#world.waitingMax;
  }
}
