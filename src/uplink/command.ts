import type { DownConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import { topicNameError } from "../mqtt/topic.ts";
import { type Arrival, digestOf, userValue, wireProperties } from "./arrival.ts";
import { leftMs, type Now } from "./command-deadline.ts";
import { openEnvelope } from "./command-envelope.ts";
import type { Refusal } from "./command-reasons.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** A message from the cloud, read: who asks, what for, and what speaks against it. */
export interface Command {
  /** As the cloud names it; null when it does not. */
  readonly id: string | null;
  /** What makes it the same command as another one; null when only its packet identifier does. */
  readonly identity: string | null;
  readonly replyTopic: string | null;
  readonly correlation: Uint8Array | null;
  /** As it is delivered here. */
  readonly message: Message;
  /** How long it may still be carried out. */
  readonly leftMs: number;
  readonly refusal: Refusal | null;
}

export type ReadOptions = Pick<
  DownConfig,
  | "messageBytesMax"
  | "identityProperty"
  | "correlationIdentifies"
  | "deadlineProperty"
  | "envelope"
  | "replyTopic"
>;

/** Reads a command. Nothing is decided here that depends on what came before. */
export function readCommand(
  arrival: Arrival,
  options: ReadOptions,
  subscriptions: Subscriptions,
  journalId: string,
  now: Now,
): Command {
  const { properties, topic } = arrival;
  const place = subscriptions.place(topic);
  const payload = arrival.payload ?? NOTHING;
  const fits = arrival.payload !== null && payload.length <= options.messageBytesMax;
  const wrapped = options.envelope === "json";
  const envelope = wrapped && fits ? openEnvelope(payload) : null;
  const id = userValue(properties, options.identityProperty) ?? envelope?.id ?? null;
  const correlation = properties?.correlationData ?? null;
  const asked = properties?.responseTopic ?? envelope?.replyTo ?? null;
  const replyTopic = asked ?? place?.fillIfGiven(options.replyTopic) ?? null;
  const deadline = userValue(properties, options.deadlineProperty) ?? envelope?.deadline ?? null;
  const left = leftMs(properties, deadline, now);
  const localTopic = place?.localTopic ?? topic;

  const refusals: readonly (Refusal | false)[] = [
    place === null && "not-subscribed",
    userValue(properties, "fg-journal") === journalId && "own-message",
    !fits && "too-large",
    wrapped && fits && envelope === null && "payload-invalid",
    (topicNameError(localTopic) !== null || localTopic.startsWith("$")) && "topic-invalid",
    tooLate(left),
  ];
  return {
    id,
    identity: identityOf(id, options.correlationIdentifies ? asked : null, correlation),
    replyTopic,
    correlation,
    message: {
      topic: localTopic,
      payload: envelope?.payload ?? payload,
      qos: arrival.qos,
      retain: arrival.retain,
      properties: wireProperties(properties),
    },
    leftMs: typeof left === "number" ? left : 0,
    refusal: refusals.find((refusal) => refusal !== false) || null,
  };
}

const NOTHING = new Uint8Array(0);

function tooLate(left: ReturnType<typeof leftMs>): Refusal | false {
  if (typeof left === "string") return left;
  return left <= 0 && "expired";
}

function identityOf(
  id: string | null,
  responseTopic: string | null,
  correlation: Uint8Array | null,
): string | null {
  if (id !== null) return digestOf("id", id);
  if (responseTopic === null || correlation === null) return null;
  return digestOf("correlation", responseTopic, correlation);
}
