import { PACKET } from "./publish-frame.ts";
import { fieldEnd, stringError, stringOf } from "./string-field.ts";
import { topicFilterError } from "./topic.ts";

/**
 * Why a client that is in may not send this packet, PUBLISH aside; null when it may. The packet is looked at where it lies:
 * what is refused here is never made into anything, and close is the answer to all of it [MQTT-4.8.0-1].
 */
export function clientPacketError(
  bytes: Buffer,
  start: number,
  bodyStart: number,
  end: number,
  filtersMax: number,
): string | null {
  const header = bytes[start] as number;
  const type = header >> 4;
  if (header !== HEADERS[type]) return "packet not allowed, or with reserved flags"; // [MQTT-2.2.2-2]
  const length = end - bodyStart;
  if (type === PACKET.subscribe)
    return filtersError(bytes, bodyStart, end, { optionBytes: 1, filtersMax });
  if (type === PACKET.unsubscribe)
    return filtersError(bytes, bodyStart, end, { optionBytes: 0, filtersMax });
  if (type >= PACKET.pingreq) return length === 0 ? null : "packet of a wrong length";
  if (length !== 2) return "acknowledgement of a wrong length";
  return bytes.readUInt16BE(bodyStart) === 0 ? "packet identifier 0" : null;
}

/** The first byte of each packet that a client may send after CONNECT, PUBLISH aside (table 2.2). */
const HEADERS: readonly (number | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  0x40,
  0x50,
  0x62,
  0x70,
  0x82,
  undefined,
  0xa2,
  undefined,
  0xc0,
  undefined,
  0xe0,
];

/** `optionBytes`: what follows each filter, the QoS asked for or nothing. */
function filtersError(
  bytes: Buffer,
  bodyStart: number,
  end: number,
  { optionBytes, filtersMax }: { readonly optionBytes: 0 | 1; readonly filtersMax: number },
): string | null {
  let at = bodyStart + 2;
  if (at >= end) return "no topic filter"; // [MQTT-3.8.3-3, MQTT-3.10.3-2]
  if (bytes.readUInt16BE(bodyStart) === 0) return "packet identifier 0"; // [MQTT-2.3.1-1]
  for (let count = 1; at < end; count++) {
    if (count > filtersMax) return "too many topic filters in a packet";
    const to = fieldEnd(bytes, at, end - optionBytes);
    if (to === null) return "packet shorter than its topic filters";
    const error = stringError(bytes, at, to) ?? topicFilterError(stringOf(bytes, at, to));
    if (error !== null) return `topic filter ${error}`; // [MQTT-3.8.3-1, MQTT-3.10.3-1, MQTT-4.7.1-2, MQTT-4.7.1-3]
    if (optionBytes === 1 && (bytes[to] as number) > 2) return "subscription with a QoS above 2"; // [MQTT-3-8.3-4]
    at = to + optionBytes;
  }
  return null;
}
