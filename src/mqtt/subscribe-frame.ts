import { lengthBytes, PACKET, writeLength } from "./publish-frame.ts";
import { fieldEnd, stringError, stringOf } from "./string-field.ts";
import { topicFilterError } from "./topic.ts";

/** What a SUBSCRIBE asks for, or an UNSUBSCRIBE gives back, filter by filter, in order. */
export interface Asked {
  readonly packetId: number;
  /** An UNSUBSCRIBE has a QoS of 0 throughout. */
  readonly filters: readonly { readonly filter: string; readonly qos: number }[];
}

/**
 * Reads the body of a SUBSCRIBE or UNSUBSCRIBE where it lies, once: what it asks for, or why it may not be sent.
 * @param type PACKET.subscribe or PACKET.unsubscribe
 */
export function filtersAsked(
  type: number,
  bytes: Buffer,
  { bodyStart, end }: { readonly bodyStart: number; readonly end: number },
  filtersMax: number,
): Asked | string {
  const optionBytes = type === PACKET.subscribe ? 1 : 0;
  let at = bodyStart + 2;
  if (at >= end) return "no topic filter"; // [MQTT-3.8.3-3, MQTT-3.10.3-2]
  const packetId = bytes.readUInt16BE(bodyStart);
  if (packetId === 0) return "packet identifier 0"; // [MQTT-2.3.1-1]
  const filters: { filter: string; qos: number }[] = [];
  while (at < end) {
    if (filters.length >= filtersMax) return "too many topic filters in a packet";
    const to = fieldEnd(bytes, at, end - optionBytes);
    if (to === null) return "packet shorter than its topic filters";
    const filter = stringOf(bytes, at, to);
    const error = stringError(bytes, at, to) ?? topicFilterError(filter);
    if (error !== null) return `topic filter ${error}`; // [MQTT-3.8.3-1, MQTT-3.10.3-1, MQTT-4.7.1-2, MQTT-4.7.1-3]
    const qos = optionBytes === 1 ? (bytes[to] as number) : 0;
    if (qos > 2) return "subscription with a QoS above 2"; // [MQTT-3-8.3-4]
    filters.push({ filter, qos });
    at = to + optionBytes;
  }
  return { packetId, filters };
}

/** Whether a filter stands in it twice. */
export function repeatsItself({ filters }: Asked): boolean {
  return new Set(filters.map(({ filter }) => filter)).size < filters.length;
}

/** The SUBACK with one code for each filter, in their order [MQTT-3.8.4-5, MQTT-3.9.3-1]. */
export function subackOf({ packetId, filters }: Asked, granted: ReadonlySet<string>): Buffer {
  const length = 2 + filters.length;
  const bytes = Buffer.alloc(1 + lengthBytes(length) + length);
  bytes[0] = PACKET.suback << 4;
  let at = bytes.writeUInt16BE(packetId, writeLength(bytes, 1, length));
  for (const { filter, qos } of filters) bytes[at++] = granted.has(filter) ? qos : REFUSED;
  return bytes;
}

const REFUSED = 0x80;
