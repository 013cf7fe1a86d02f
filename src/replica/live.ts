import { FilterTree } from "../mqtt/filter-tree.ts";
import type { Message } from "../mqtt/message.ts";
import { topicFilterError, topicNameError } from "../mqtt/topic.ts";
import { FRAME, frameOf, jsonFrame, notUnderstood, readJson } from "./frames.ts";

/** More filters than this are told as one for everything. */
export const FILTERS_MAX = 1000;
const HEADER_BYTES = 6;

export function interestFrame(filters: readonly string[]): Buffer {
  return jsonFrame(FRAME.interest, { filters });
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readInterest(frame: Buffer): readonly string[] {
  const { filters } = readJson(frame);
  const isSound =
    Array.isArray(filters) &&
    filters.length <= FILTERS_MAX &&
    filters.every((one) => typeof one === "string" && topicFilterError(one) === null);
  if (!isSound) throw notUnderstood("an interest in nothing");
  return filters as string[];
}

/** A message of QoS 0 on its way to a peer. */
export function liveBytes({ topic, payload }: Pick<Message, "topic" | "payload">): Buffer {
  const name = Buffer.from(topic);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(2 + name.length + payload.length);
  header.writeUInt16BE(name.length, 4);
  return Buffer.concat([header, name, payload]);
}

export function liveFrame(messages: readonly Buffer[]): Buffer {
  return frameOf(FRAME.live, ...messages);
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readLive(frame: Buffer): readonly Message[] {
  const messages: Message[] = [];
  for (let at = 1; at < frame.length; ) {
    const end = at + HEADER_BYTES > frame.length ? Infinity : at + 4 + frame.readUInt32BE(at);
    if (end > frame.length || end < at + HEADER_BYTES) throw notUnderstood("a message cut short");
    const topicEnd = at + HEADER_BYTES + frame.readUInt16BE(at + 4);
    if (topicEnd > end) throw notUnderstood("a message shorter than its topic");
    const topic = frame.toString("utf8", at + HEADER_BYTES, topicEnd);
    if (topicNameError(topic) !== null) throw notUnderstood("a message without a topic");
    const payload = frame.subarray(topicEnd, end);
    messages.push({ topic, payload, qos: 0, retain: false, properties: null });
    at = end;
  }
  return messages;
}

/** What each peer has subscribers for. */
export class Interests {
  readonly #tree = new FilterTree<string, true>();
  readonly #filters = new Map<string, readonly string[]>();
  readonly #changed: () => void;

  /** @param changed called when answers may be others than before */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  set(peer: string, filters: readonly string[]): void {
    for (const filter of this.#filters.get(peer) ?? []) this.#tree.delete(filter, peer);
    for (const filter of filters) this.#tree.set(filter, peer, true);
    this.#filters.set(peer, filters);
    this.#changed();
  }

  /** Peers that have subscribers for the topic. */
  of(topic: string): readonly string[] {
    const peers = new Set<string>();
    this.#tree.match(topic, (peer) => peers.add(peer));
    return [...peers];
  }
}
