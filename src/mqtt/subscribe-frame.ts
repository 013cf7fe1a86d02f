import { lengthBytes, PACKET, writeLength } from "./publish-frame.ts";
import { fieldEnd, stringOf } from "./string-field.ts";

/** What a SUBSCRIBE asks for, filter by filter, in order. */
export interface Asked {
  readonly packetId: number;
  readonly filters: readonly { readonly filter: string; readonly qos: number }[];
}

/** What a SUBSCRIBE that is in order asks for when a filter stands in it twice; null when none does, as nearly always. */
export function repeatedFilters(packet: Buffer, bodyStart: number): Asked | null {
  const filters: { filter: string; qos: number }[] = [];
  for (let at = bodyStart + 2; at < packet.length; ) {
    const end = fieldEnd(packet, at, packet.length) as number;
    filters.push({ filter: stringOf(packet, at, end), qos: packet[end] as number });
    at = end + 1;
  }
  if (new Set(filters.map(({ filter }) => filter)).size === filters.length) return null;
  return { packetId: packet.readUInt16BE(bodyStart), filters };
}

/** How many filters a SUBSCRIBE or UNSUBSCRIBE has that is in order. */
export function filterCount(packet: Buffer, bodyStart: number): number {
  const optionBytes = (packet[0] as number) >> 4 === PACKET.subscribe ? 1 : 0;
  let count = 0;
  for (let at = bodyStart + 2; at < packet.length; count++) {
    at = (fieldEnd(packet, at, packet.length) as number) + optionBytes;
  }
  return count;
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
