import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Rows } from "../base/rows.ts";
import type { QoS } from "../mqtt/message.ts";
import { type Share, shareOf } from "../mqtt/share.ts";
import type { Counters } from "./counters.ts";
import type { Lender } from "./loans.ts";
import type { BrokerJournal, SessionQueue } from "./ports.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import { ShareGroup, type ShareLimits, type ShareStatus, type ShareWorld } from "./share-group.ts";
import type { ShareStrategyName } from "./share-strategy.ts";

export interface SharesOptions extends ShareLimits {
  readonly sharedMax: number;
  readonly sharedStrategy: ShareStrategyName;
  readonly sharedGroups: readonly {
    readonly group: string;
    readonly strategy: ShareStrategyName;
  }[];
}

/**
 * All shared subscriptions, each with its durable queues in the journal, and one space of rows:
 *
 *   taken   queue NUL index   → (empty)   a session has that message of QoS 2; nobody else gets it
 *
 * Who its members are follows from the subscriptions of the sessions. A queue is named NUL "share" NUL group "/" filter NUL
 * partition: no client has such an id [MQTT-1.5.3-2], so it is no session's.
 */
export class ShareGroups implements ShareWorld {
  readonly limits: ShareLimits;
  readonly counters: Counters;
  readonly nowMs: () => number;
  readonly #options: SharesOptions;
  readonly #journal: BrokerJournal;
  readonly #router: Router<Session>;
  readonly #log: Log;
  readonly #rows: Rows;
  readonly #groups = new Map<string, ShareGroup>();
  #takenLeft = new Map<string, Set<number>>();

  constructor(
    options: SharesOptions,
    tools: {
      readonly journal: BrokerJournal;
      readonly router: Router<Session>;
      readonly counters: Counters;
      readonly log: Log;
      readonly nowMs: () => number;
    },
  ) {
    this.limits = options;
    this.counters = tools.counters;
    this.nowMs = tools.nowMs;
    this.#options = options;
    this.#journal = tools.journal;
    this.#router = tools.router;
    this.#log = tools.log;
    this.#rows = tools.journal.rows("taken");
  }

  get count(): number {
    return this.#groups.size;
  }

  /** Whether a session may join: it is there already, or another one may be made. */
  hasRoomFor({ group, filter }: Share): boolean {
    return this.#groups.has(keyOf(group, filter)) || this.#groups.size < this.#options.sharedMax;
  }

  /** Before the sessions are restored, which join again. */
  async load(): Promise<void> {
    for await (const [key] of this.#rows.entries({})) {
      const end = key.lastIndexOf("\0");
      const queue = key.slice(0, end);
      const indexes = this.#takenLeft.get(queue) ?? new Set();
      this.#takenLeft.set(queue, indexes.add(Number(key.slice(end + 1))));
    }
  }

  /** After the sessions have joined: takes up the queues that an earlier process has left, and lets go of those of groups without members. */
  restore(): void {
    for (const name of this.#journal.queueNames()) {
      if (!isShareQueue(name)) continue;
      const { key, partition } = splitQueueName(name);
      const group = this.#groups.get(key);
      if (group !== undefined) group.partition(partition);
      else this.#journal.queue(name).drop();
    }
    for (const [queue, indexes] of this.#takenLeft) {
      for (const index of indexes) this.forgetTaken(queue, index);
    }
    this.#takenLeft.clear();
  }

  /** The partition that has that queue, if there is one. */
  lenderOf(queue: string): (Lender & Pick<Restorable, "restoreHolder">) | null {
    if (!isShareQueue(queue) || !this.#journal.queueNames().includes(queue)) return null;
    const { key, partition } = splitQueueName(queue);
    return this.#groups.get(key)?.partition(partition) ?? null;
  }

  join(session: Session, { group, filter }: Share, qos: QoS): void {
    const key = keyOf(group, filter);
    let joined = this.#groups.get(key);
    if (joined === undefined) {
      const { sharedGroups, sharedStrategy } = this.#options;
      const configured = sharedGroups.find((each) => each.group === group);
      const strategy = configured?.strategy ?? sharedStrategy;
      joined = new ShareGroup(key, group, filter, strategy, this);
      this.#groups.set(key, joined);
      this.#router.share(joined, filter);
    }
    joined.join(session, qos);
  }

  /** Messages that nobody gets when that session ends: it is the only member. */
  endingWith(session: Session): number {
    let messages = 0;
    for (const { filter } of session.subscriptions.values()) {
      const share = shareOf(filter);
      const group = share && this.#groups.get(keyOf(share.group, share.filter));
      if (group?.isOnlyOf(session)) messages += group.unsent;
    }
    return messages;
  }

  leave(session: Session, { group, filter }: Share): void {
    const key = keyOf(group, filter);
    const left = this.#groups.get(key);
    if (left === undefined) return;
    left.leave(session);
    if (!left.isEmpty) return;
    this.#groups.delete(key);
    this.#router.unshare(left, filter);
    this.counters.dropped("shared-group-ended", left.unsent);
    left.end();
  }

  watch(nowMs: number): void {
    for (const group of [...this.#groups.values()]) group.watch(nowMs);
  }

  /** Lends nothing any more: what members give back while they are let go stays in the queues. */
  freeze(): void {
    for (const group of this.#groups.values()) group.frozen = true;
  }

  status(): ShareStatus[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  // ——— what a group asks for

  queue(key: string, partition: number): SessionQueue {
    return this.#journal.queue(`${QUEUE_PREFIX}${key}\0${partition}`);
  }

  /** Once: what was taken before the start. */
  taken(queue: string): ReadonlySet<number> {
    const indexes = this.#takenLeft.get(queue) ?? new Set<number>();
    this.#takenLeft.delete(queue);
    return indexes;
  }

  keepTaken(queue: string, index: number): Promise<void> {
    return this.#rows.put(`${queue}\0${index}`, EMPTY);
  }

  forgetTaken(queue: string, index: number): void {
    this.#rows.del(`${queue}\0${index}`).catch((error) => this.readFailed(error));
  }

  readFailed(error: unknown): void {
    this.#log.warn("a shared group's queue could not be used; it is tried again", {
      ...errorFields(error),
    });
  }
}

interface Restorable {
  restoreHolder(index: number, session: Session, packetId: number): boolean;
}

/** Whether a queue of the journal is one of a shared group's. */
export function isShareQueue(name: string): boolean {
  return name.startsWith(QUEUE_PREFIX);
}

const QUEUE_PREFIX = "\0share\0";
const EMPTY = new Uint8Array(0);

/** A group's name has no slash, so this is one group's only. */
function keyOf(group: string, filter: string): string {
  return `${group}/${filter}`;
}

function splitQueueName(name: string): { key: string; partition: number } {
  const end = name.lastIndexOf("\0");
  return { key: name.slice(QUEUE_PREFIX.length, end), partition: Number(name.slice(end + 1)) };
}
