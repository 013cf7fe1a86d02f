import { FieldgateError } from "./base/errors.ts";
import type { ClientStatus } from "./broker/clients.ts";
import { LocalPublisher } from "./broker/local-publisher.ts";
import type { Forgotten } from "./broker/session-ends.ts";
import { Feed } from "./control/feed.ts";
import type { ControlQuestion } from "./control/protocol.ts";
import { type ShownPayload, shownPayload } from "./control/shown-payload.ts";
import type { GatewayParts } from "./gateway-status.ts";
import type { Message, QoS } from "./mqtt/message.ts";
import { topicFilterError } from "./mqtt/topic.ts";
import { LANES } from "./uplink/rules.ts";

/** A message as the control socket tells it. */
export interface ShownMessage {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly payload: ShownPayload;
}

/** A message that has just been taken, and from whom. */
export interface TailedMessage extends ShownMessage {
  readonly wallMs: number;
  readonly from: string;
}

/** What became of a message that a technician published. */
export interface Published {
  readonly topic: string;
  /** Sessions and shared groups that get it. */
  readonly subscribers: number;
  /** The lane that carries it to the cloud; null: it stays here. */
  readonly lane: string | null;
  /** It is on disk: QoS 1 and 2, retained, or on a lane. */
  readonly kept: boolean;
}

const RETAINED_SHOWN_MAX = 1000;

/** `GET tail?filter=…&bytes=…`: every message that is taken from now on, as fast as the caller reads; what is too fast is skipped and counted. */
export function tail(
  { broker, clock, config }: GatewayParts,
  { query, signal }: ControlQuestion,
): AsyncIterable<unknown> {
  const filter = filterOf(query);
  const bytesMax = bytesOf(query);
  const { feedMax: max, feedBytesMax } = config.control;
  const feed = new Feed<TailedMessage>({ max, bytesMax: feedBytesMax, bytesOf: heldBytes }, signal);
  const stop = broker.desk.tap(filter, (message, from) => {
    feed.push({ wallMs: clock.wallMs(), from, ...shown(message, bytesMax) });
  });
  signal.addEventListener("abort", stop, { once: true });
  return feed;
}

/** `POST publish`: topic, and text or base64; qos and retain as with any client. */
export async function publish(
  { broker }: GatewayParts,
  { body }: ControlQuestion,
): Promise<Published> {
  const { topic, qos = 0, retain = false } = body;
  if (typeof topic !== "string" || (qos !== 0 && qos !== 1 && qos !== 2)) {
    throw new FieldgateError("ERR_USAGE", "publish wants a topic, and a qos of 0, 1 or 2");
  }
  if (typeof retain !== "boolean") throw new FieldgateError("ERR_USAGE", "retain is true or false");
  const payload = payloadOf(body);
  const route = broker.routes.route(topic);
  if (route.reserved) {
    const details = { topic };
    throw new FieldgateError("ERR_TOPIC", "below $SYS only the broker speaks", { details });
  }
  const message: Message = { topic, payload, qos, retain, properties: null };
  await broker.publish(message, new LocalPublisher("technician"));
  const lane = Object.entries(LANES).find(([, number]) => number === route.lane)?.[0] ?? null;
  return {
    topic,
    subscribers: route.targets.length + route.shared.length,
    lane,
    kept: qos > 0 || message.retain || lane !== null,
  };
}

function payloadOf({ text = "", base64 = "" }: ControlQuestion["body"]): Buffer {
  if (typeof text !== "string" || typeof base64 !== "string" || (text !== "" && base64 !== "")) {
    throw new FieldgateError("ERR_USAGE", "publish wants its payload as text, or as base64");
  }
  if (base64 === "") return Buffer.from(text);
  if (base64.length % 4 === 0 && BASE64.test(base64)) return Buffer.from(base64, "base64");
  throw new FieldgateError("ERR_USAGE", "what should be base64 is none");
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** `GET clients`: all sessions, connected or not. */
export function clients({ broker }: GatewayParts): { readonly clients: readonly ClientStatus[] } {
  return { clients: broker.desk.clients() };
}

/** `POST clients/kick`: closes the connection of the client `id`. */
export function kick({ broker }: GatewayParts, { body }: ControlQuestion) {
  const { id } = body;
  if (typeof id !== "string") throw new FieldgateError("ERR_USAGE", "kick wants the client's id");
  if (broker.desk.kick(id)) return { kicked: id };
  throw new FieldgateError("ERR_NOT_THERE", `no client ${id} is connected`, { details: { id } });
}

/** `POST clients/forget`: ends the session of the client `id`, which is away; `confirm` must be true where messages wait for it. */
export function forget({ broker }: GatewayParts, { body }: ControlQuestion): Promise<Forgotten> {
  const { id, confirm } = body;
  if (typeof id !== "string") throw new FieldgateError("ERR_USAGE", "forget wants the client's id");
  return broker.desk.forget(id, confirm === true);
}

/** `GET retained?filter=…`: by topic, and how many more there are. */
export function retained({ broker }: GatewayParts, { query }: ControlQuestion) {
  const bytesMax = bytesOf(query);
  const found: ShownMessage[] = [];
  let more = 0;
  broker.desk.eachRetained(filterOf(query), (message) => {
    if (found.length < RETAINED_SHOWN_MAX) found.push(shown(message, bytesMax));
    else more++;
  });
  const retained = found.toSorted((a, b) => a.topic.localeCompare(b.topic));
  return { retained, more };
}

function filterOf(query: URLSearchParams): string {
  const filter = query.get("filter") ?? "#";
  const fault = topicFilterError(filter);
  if (fault === null) return filter;
  throw new FieldgateError("ERR_TOPIC", `${JSON.stringify(filter)} is no topic filter: ${fault}`);
}

const BYTES_USUAL = 256;
const BYTES_MAX = 65_536;

function bytesOf(query: URLSearchParams): number {
  const asked = Number(query.get("bytes") ?? BYTES_USUAL) || BYTES_USUAL;
  return Math.min(Math.max(asked, 0), BYTES_MAX);
}

/** Of a message that waits for a reader, about. */
function heldBytes({ topic, from, payload }: TailedMessage): number {
  const { length } = "text" in payload ? payload.text : payload.base64;
  return HELD_BYTES + 2 * (topic.length + from.length + length);
}

const HELD_BYTES = 200;

function shown({ topic, qos, retain, payload }: Message, bytesMax: number): ShownMessage {
  return { topic, qos, retain, payload: shownPayload(payload, bytesMax) };
}
