import type { FrameReader } from "../mqtt/frame.ts";
import { PACKET } from "../mqtt/publish-frame.ts";

export type AcknowledgementType = "puback" | "pubrec" | "pubcomp";

const TYPES: readonly (AcknowledgementType | undefined)[] = (() => {
  const types: (AcknowledgementType | undefined)[] = [];
  types[PACKET.puback] = "puback";
  types[PACKET.pubrec] = "pubrec";
  types[PACKET.pubcomp] = "pubcomp";
  return types;
})();

/** What the cloud acknowledges with a packet of this first byte; null for packets that acknowledge no message. */
export function acknowledgementType(header: number): AcknowledgementType | null {
  return TYPES[header >> 4] ?? null;
}

/** The packet identifier of an acknowledgement; 0, which none has, when it is too short for one. */
export function packetIdOf({ bytes, bodyStart, end }: FrameReader): number {
  return end - bodyStart < 2 ? 0 : bytes.readUInt16BE(bodyStart);
}

/** The reason code of an acknowledgement: 0 where it has none, as all of MQTT 3.1.1. */
export function reasonCodeOf({ bytes, bodyStart, end }: FrameReader): number {
  return end - bodyStart < 3 ? 0 : (bytes[bodyStart + 2] as number);
}
