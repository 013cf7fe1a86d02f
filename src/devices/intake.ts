import { FieldgateError } from "../base/errors.ts";
import type { Message } from "../mqtt/message.ts";

/** Told when the sink can take no more for now, and when it can again. */
export interface Brake {
  full(): void;
  free(): void;
}

/** A frame on its way: it is accepted when the sink has taken all of its messages, refused when it refused one. */
interface Passage {
  waiting: number;
  refusal: string | null;
  readonly ended: (accepted: boolean) => void;
}

/**
 * The books of a device, and its messages' way into the sink: in order, at most `inflightMax` of them unanswered. What a
 * chunk holds beyond that waits here, and the port is paused: so no more waits than was in one chunk.
 */
export class Intake {
  readonly #sink: { admit(message: Message): Promise<void> };
  readonly #inflightMax: number;
  readonly #brake: Brake;
  #queue: { message: Message; passage: Passage }[] = [];
  #unanswered = 0;
  #braked = false;
  #idle: (() => void)[] = [];
  #frames = 0;
  #accepted = 0;
  #inflight = 0;
  #messages = 0;
  #paused = 0;
  readonly #refused = new Map<string, number>();

  constructor(sink: { admit(message: Message): Promise<void> }, inflightMax: number, brake: Brake) {
    this.#sink = sink;
    this.#inflightMax = inflightMax;
    this.#brake = brake;
  }

  /** A frame's messages; one without any, because nothing of it is to be published, is accepted at once. */
  take(messages: readonly Message[], ended: (accepted: boolean) => void = () => {}): void {
    this.#frames += 1;
    this.#inflight += 1;
    const passage: Passage = { waiting: messages.length, refusal: null, ended };
    if (messages.length === 0) this.#end(passage);
    for (const message of messages) this.#queue.push({ message, passage });
    this.#pump();
  }

  /** A frame that came to nothing before the sink. */
  refuse(reason: string): void {
    this.#frames += 1;
    this.#count(reason);
  }

  isFull(): boolean {
    return this.#braked;
  }

  /** Resolves when the sink has answered for everything. */
  async drained(): Promise<void> {
    if (this.#inflight === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  counters() {
    return {
      frames: this.#frames,
      accepted: this.#accepted,
      refused: Object.fromEntries(this.#refused),
      inflight: this.#inflight,
      messages: this.#messages,
      paused: this.#paused,
    };
  }

  #pump(): void {
    let sent = 0;
    while (this.#unanswered < this.#inflightMax) {
      const next = this.#queue[sent];
      if (next === undefined) break;
      sent += 1;
      this.#unanswered += 1;
      void this.#send(next.message, next.passage);
    }
    this.#queue.splice(0, sent);
    this.#setBrake();
  }

  async #send(message: Message, passage: Passage): Promise<void> {
    try {
      await this.#admit(message);
      this.#messages += 1;
    } catch (error) {
      passage.refusal = error instanceof FieldgateError ? error.code : "sink-failed";
    }
    this.#unanswered -= 1;
    passage.waiting -= 1;
    if (passage.waiting === 0) this.#end(passage);
    this.#pump();
  }

  /** Never throws at once, so that the books change after the pump has finished its round. */
  async #admit(message: Message): Promise<void> {
    await this.#sink.admit(message);
  }

  #end(passage: Passage): void {
    this.#inflight -= 1;
    if (passage.refusal === null) this.#accepted += 1;
    else this.#count(passage.refusal);
    passage.ended(passage.refusal === null);
    if (this.#inflight > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Off at the limit, on again at half of it: not a pause and a resume for every message. */
  #setBrake(): void {
    if (!this.#braked && this.#unanswered >= this.#inflightMax) {
      this.#braked = true;
      this.#paused += 1;
      this.#brake.full();
    } else if (this.#braked && this.#unanswered <= this.#inflightMax / 2) {
      this.#braked = false;
      this.#brake.free();
    }
  }

  #count(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }
}
