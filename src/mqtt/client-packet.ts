import { PACKET } from "./publish-frame.ts";
import { type Asked, filtersAsked } from "./subscribe-frame.ts";

/**
 * What a client that is in asks for with a SUBSCRIBE, or gives back with an UNSUBSCRIBE; null of other packets, PUBLISH aside; or why
 * it may not send this one. The packet is looked at where it lies, once, and close is the answer to all that is wrong [MQTT-4.8.0-1].
 */
export function clientPacket(
  bytes: Buffer,
  start: number,
  bodyStart: number,
  end: number,
  filtersMax: number,
): Asked | string | null {
  const header = bytes[start] as number;
  const type = header >> 4;
  if (header !== HEADERS[type]) return "packet not allowed, or with reserved flags"; // [MQTT-2.2.2-2]
  const length = end - bodyStart;
  if (type === PACKET.subscribe || type === PACKET.unsubscribe) {
    return filtersAsked(type, bytes, { bodyStart, end }, filtersMax);
  }
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
