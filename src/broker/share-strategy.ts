import type { QoS } from "../mqtt/message.ts";

/** Which member of a shared group gets the next message: pure, and told of members only what it needs. */

export type ShareStrategyName = "round-robin" | "sticky" | "hash-client" | "hash-topic";

export interface Candidate {
  readonly clientId: string;
  /** Connected, and not stuck. */
  readonly isHere: boolean;
  /** Takes one more message of that QoS now. */
  hasRoom(qos: QoS): boolean;
}

export interface ShareStrategy {
  /** How many partitions the messages are split into, by key. Order is kept within one. */
  readonly partitions: number;
  /** What decides the partition of a message. */
  keyOf(topic: string, publisherId: string): string;
  /** The member for the next message of a partition; null when it has to wait. */
  choose<M extends Candidate>(members: readonly M[], partition: number, qos: QoS): M | null;
}

/** Enough for an even split over a handful of members; each is a queue in the journal once it was used. */
const PARTITIONS = 32;

export function shareStrategy(name: ShareStrategyName): ShareStrategy {
  if (name === "round-robin") return new RoundRobin();
  if (name === "sticky") return new Sticky();
  return new Hash(name === "hash-topic");
}

/** The partition of a key. */
export function partitionOf(key: string, partitions: number): number {
  return partitions === 1 ? 0 : hash(key) % partitions;
}

/** Each in turn; who is not here or has no room is passed over. */
class RoundRobin implements ShareStrategy {
  readonly partitions = 1;
  #last = -1;

  keyOf(): string {
    return "";
  }

  choose<M extends Candidate>(members: readonly M[], _: number, qos: QoS): M | null {
    for (let step = 1; step <= members.length; step++) {
      const at = (this.#last + step) % members.length;
      const member = members[at] as M;
      if (!member.isHere || !member.hasRoom(qos)) continue;
      this.#last = at;
      return member;
    }
    return null;
  }
}

/** One gets all, and is waited for when it has no room, until it is gone or stuck. */
class Sticky implements ShareStrategy {
  readonly partitions = 1;
  #clientId: string | null = null;

  keyOf(): string {
    return "";
  }

  choose<M extends Candidate>(members: readonly M[], _: number, qos: QoS): M | null {
    const current = members.find(({ clientId }) => clientId === this.#clientId);
    if (current?.isHere) return current.hasRoom(qos) ? current : null;
    const next = members.find((member) => member.isHere && member.hasRoom(qos));
    if (next === undefined) return null;
    this.#clientId = next.clientId;
    return next;
  }
}

/**
 * Each partition has the member whose hash with it is highest (rendezvous): when one comes or goes, only its own partitions
 * move. The member is waited for when it has no room.
 */
class Hash implements ShareStrategy {
  readonly partitions = PARTITIONS;
  readonly #byTopic: boolean;

  constructor(byTopic: boolean) {
    this.#byTopic = byTopic;
  }

  keyOf(topic: string, publisherId: string): string {
    return this.#byTopic ? topic : publisherId;
  }

  choose<M extends Candidate>(members: readonly M[], partition: number, qos: QoS): M | null {
    let best: M | null = null;
    let highest = -1;
    for (const member of members) {
      if (!member.isHere) continue;
      const score = hash(`${partition} ${member.clientId}`);
      if (score <= highest) continue;
      best = member;
      highest = score;
    }
    return best?.hasRoom(qos) ? best : null;
  }
}

/** FNV-1a with the finaliser of MurmurHash3: 32 bits that depend on every character. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
