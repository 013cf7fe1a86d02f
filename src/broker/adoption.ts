import type { Message, QoS } from "../mqtt/message.ts";
import { publishFrameOf } from "../mqtt/publish-frame.ts";
import type { Counters } from "./counters.ts";
import type { ControlPersistence } from "./level-persistence.ts";
import type { BrokerJournal, SessionQueue } from "./ports.ts";
import { queueIsFull, type SessionLimits } from "./session-limits.ts";
import type { AdoptedState, Sessions } from "./sessions.ts";

export interface AdoptionWorld {
  readonly limits: SessionLimits;
  readonly journal: BrokerJournal;
  readonly sessions: Sessions;
  readonly persistence: ControlPersistence;
  readonly counters: Counters;
  /** The lane of what came from another gateway. */
  readonly lane: number;
}

export interface Adopted extends AdoptedState {
  readonly subscriptions: readonly { readonly topic: string; readonly qos: QoS }[];
  readonly last: readonly (Message & { readonly wallMs: number })[];
}

/**
 * A session on its way to this gateway: its queue is filled with the indexes that it had, so that each message keeps its packet
 * identifier, then the session is made. Until then nobody sees it, and after a crash it has never been here.
 */
export class Adoption {
  readonly #client: string;
  readonly #world: AdoptionWorld;
  readonly #queue: SessionQueue;

  /** @param afterIndex the queue begins behind it */
  constructor(client: string, afterIndex: number, world: AdoptionWorld) {
    this.#client = client;
    this.#world = world;
    world.sessions.giveUp(client, "taken over");
    if (world.journal.queueNames().includes(client)) world.journal.queue(client).drop();
    this.#queue = world.journal.queue(client, afterIndex);
  }

  /** @param isNew it did not wait for the session yet, which may have no room for it */
  take(message: Message, wallMs: number, isNew: boolean): void {
    const { limits, journal, counters, lane } = this.#world;
    if (isNew && queueIsFull(this.#queue, limits)) {
      counters.dropped("queue-full");
      if (limits.queueWhenFull !== "drop-oldest") return;
      this.#queue.acknowledge(this.#queue.headIndex + 1);
    }
    journal.append(message, lane, wallMs, [this.#queue]);
  }

  committed(): Promise<void> {
    return this.#world.journal.committed();
  }

  /** Resolves when the session would survive a power cut here. */
  async complete({ subscriptions, last, ...state }: Adopted): Promise<void> {
    const { sessions, persistence, journal } = this.#world;
    const session = sessions.adopt(this.#client, state);
    for (const { topic, qos } of subscriptions) sessions.subscribe(session, topic, qos);
    const arriving = last.map((message) => {
      this.take(message, message.wallMs, true);
      return { index: this.#queue.tailIndex, frame: publishFrameOf(message) };
    });
    const kept = persistence.addSubscriptions({ id: this.#client }, subscriptions);
    await journal.committed();
    for (const { index, frame } of arriving) session.deliverQueued(index, frame);
    await kept;
  }

  abandon(): void {
    if (this.#world.sessions.of(this.#client)?.queue === this.#queue) return;
    this.#queue.drop();
  }
}
