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
  readonly protocol: "5" | "3.1.1";
  /** Hands an answer over; false when it cannot be sent at all. */
  answer(answer: Answer): boolean;
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

  /** The connection is closed: what is settled from now on is said by nobody. */
  end(): void {
    this.#ended = true;
  }

  #say(): void {
    for (;;) {
      const next = this.#expected.peek();
      if (this.#ended || next === undefined || next.reply === null) break;
      const { answer = null, acknowledge = null } = next.reply;
      if (answer !== null && this.#answersInflight >= this.#world.answersMax) break;
      this.#expected.shift();
      if (answer !== null && this.#world.answer(answer)) this.#answersInflight++;
      if (acknowledge !== null) {
        const { type, packetId, code } = acknowledge;
        const sent = this.#world.protocol === "5" ? code : 0;
        this.#world.connection.acknowledge(type, packetId, sent);
      }
      if (next.last !== null) {
        this.#world.connection.flush();
        this.#world.failed(next.last);
        return;
      }
    }
    if (!this.#ended) this.#world.connection.flush();
  }
}
