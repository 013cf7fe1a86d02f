import type { Clock } from "../base/clock.ts";
import { errorFields, type FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { DownConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import type { Result } from "./answer.ts";
import { type Arrival, digestOf } from "./arrival.ts";
import { type Command, readCommand } from "./command.ts";
import { type Refusal, reasonCodeOf } from "./command-reasons.ts";
import type { DownLedger } from "./down-ledger.ts";
import { Held } from "./held.ts";
import type { ReplyLine } from "./reply-line.ts";
import { type DownRows, Seen } from "./seen.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** Where commands go: the router of the broker. Its messages never leave for the cloud again. */
export interface CommandSink {
  /** Takes a message into the journal, in this turn, or says why not: ERR_TOPIC for ever, ERR_STORE_FULL for now. */
  take(message: Message): Taken;
}

export interface Taken {
  readonly refusal: FieldgateError | null;
  /** Resolves when the message is on disk and on its way to those who get it. */
  readonly kept: Promise<void>;
}

export interface DeskTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly sink: CommandSink;
  readonly rows: DownRows;
  /** `committed`: resolves when everything handed over up to now is on disk. */
  readonly journal: { readonly id: string; committed(): Promise<void> };
  readonly subscriptions: Subscriptions;
  readonly ledger: DownLedger;
  readonly wallIsSure: () => boolean;
}

/**
 * Decides about commands, one after the other as they come: each identity goes to the router once, is on disk before it
 * is acknowledged, and what was decided is said on the line that it came by, in that order.
 *
 * The message and the row of its identity are handed to the journal in one turn: one commit has both or none. A crash
 * before it finds the command unacknowledged at the cloud and unknown here; one after it finds the identity.
 */
export class CommandDesk {
  readonly seen: Seen;
  /** Of commands without an identity: packet identifier and content, for as many as can be unacknowledged at once. */
  readonly #packets: Seen;
  readonly #held: Held;
  readonly #options: DownConfig;
  readonly #tools: DeskTools;
  /** The last command that was taken: when it is kept, so are those before it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DownConfig, tools: DeskTools) {
    this.#options = options;
    this.#tools = tools;
    this.seen = new Seen(tools.rows, "seen", options.identitiesMax);
    this.#packets = new Seen(tools.rows, "packet", options.inflightMax);
    this.#held = new Held(tools.rows);
  }

  async load(): Promise<void> {
    await Promise.all([this.seen.load(), this.#packets.load(), this.#held.load()]);
  }

  /** The cloud has begun a new session: packet identifiers of the one before mean nothing any more. */
  sessionBegan(): void {
    this.#packets.clear();
    this.#held.clear();
  }

  arrived(arrival: Arrival, line: ReplyLine): void {
    if (line.refusing) return; // it comes again, behind the one for which there was no room
    const { clock, ledger, journal, subscriptions, wallIsSure } = this.#tools;
    ledger.received++;
    const now = { wallMs: clock.wallMs(), wallIsSure: wallIsSure() };
    const command = readCommand(arrival, this.#options, subscriptions, journal.id, now);
    const digest = digestOf(String(arrival.packetId), arrival.topic, arrival.payload ?? "");
    if (this.#isKnown(arrival, command, digest)) this.#repeated(arrival, command, line);
    else if (command.refusal !== null) this.#refuse(arrival, command, command.refusal, line);
    else this.#admit(arrival, command, digest, line);
  }

  released(packetId: number, line: ReplyLine): void {
    const reply = line.expect();
    this.#held.release(packetId).then(
      () => reply.settle({ acknowledge: { type: "pubcomp", packetId, code: 0 } }),
      () => undefined, // the store is closing: the cloud asks again
    );
  }

  #isKnown({ qos, packetId, duplicate }: Arrival, command: Command, digest: string): boolean {
    if (command.identity !== null && this.seen.has(command.identity)) return true;
    if (qos === 2) return this.#held.has(packetId, digest);
    return qos === 1 && duplicate && command.identity === null && this.#packets.has(digest);
  }

  #admit(arrival: Arrival, command: Command, digest: string, line: ReplyLine): void {
    const { clock, sink, ledger, log } = this.#tools;
    const taken = sink.take(command.message);
    if (taken.refusal !== null) {
      if (taken.refusal.code === "ERR_TOPIC") {
        this.#refuse(arrival, command, "topic-invalid", line);
      } else this.#postpone(arrival, command, taken.refusal, line);
      return;
    }
    const dueMs = clock.monotonicMs() + command.leftMs;
    const reply = line.expect();
    const rows = this.#remember(arrival, command, digest);
    const kept = Promise.all([taken.kept, rows]);
    this.#last = kept;
    kept.then(
      () => {
        ledger.accepted++;
        if (clock.monotonicMs() > dueMs) {
          ledger.late++;
          log.warn("a command was on disk only after its deadline", { id: command.id });
        }
        reply.settle(replyTo(arrival, command, { result: "accepted" }, 0));
      },
      () => undefined, // the store is closing: the cloud sends it again
    );
  }

  /** In the turn of its message, so that both become durable together. */
  #remember(arrival: Arrival, command: Command, digest: string): Promise<unknown> {
    const rows: Promise<void>[] = [];
    if (command.identity !== null) rows.push(this.seen.add(command.identity));
    else if (arrival.qos === 1) rows.push(this.#packets.add(digest));
    if (arrival.qos === 2) rows.push(this.#held.add(arrival.packetId, digest));
    const lost = (error: unknown) =>
      this.#tools.log.error("the identity of a command was not kept", errorFields(error));
    return Promise.all(rows.map((row) => row.catch(lost)));
  }

  /** Once what was taken of it is on disk, which it may not be yet. */
  #repeated(arrival: Arrival, command: Command, line: ReplyLine): void {
    const reply = line.expect();
    this.#tools.ledger.duplicates++;
    Promise.all([this.#last, this.#tools.journal.committed()]).then(
      () => reply.settle(replyTo(arrival, command, { result: "duplicate" }, 0)),
      () => undefined, // the store is closing: the cloud sends it again
    );
  }

  #refuse(arrival: Arrival, command: Command, reason: Refusal, line: ReplyLine): void {
    this.#count(arrival, command, reason);
    const result = { result: "refused", reason, final: true } as const;
    line.expect().settle(replyTo(arrival, command, result, reasonCodeOf(reason)));
  }

  /** Not acknowledged, and nothing behind it is taken on this line: the cloud sends all of it again, in order. */
  #postpone(arrival: Arrival, command: Command, error: FieldgateError, line: ReplyLine): void {
    this.#count(arrival, command, "store-full");
    line.refuse(error, {
      ...replyTo(arrival, command, { result: "refused", reason: "store-full", final: false }, 0),
      acknowledge: null,
    });
  }

  /** Logged when the count doubles. */
  #count(arrival: Arrival, command: Command, reason: Refusal): void {
    const count = this.#tools.ledger.refused(reason);
    if ((count & (count - 1)) !== 0) return;
    const { topic } = arrival;
    this.#tools.log.warn("command refused", { reason, count, topic, id: command.id });
  }
}

function replyTo(arrival: Arrival, command: Command, result: Result, code: number): Reply {
  const { qos, packetId, topic } = arrival;
  const { replyTopic, id, correlation, refusal } = command;
  const quiet = replyTopic === null || refusal === "own-message";
  return {
    answer: quiet ? null : { to: replyTopic, id, topic, correlation, result },
    acknowledge: qos === 0 ? null : { type: qos === 1 ? "puback" : "pubrec", packetId, code },
  };
}

type Reply = Required<Parameters<ReturnType<ReplyLine["expect"]>["settle"]>[0]>;
