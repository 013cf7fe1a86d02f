import { PACKET } from "./publish-frame.ts";

/** What the server says to a client that is not, or not yet, let in (MQTT 3.1.1, table 3.1). */
export function connack(returnCode: number): Buffer {
  return Buffer.from([PACKET.connack << 4, 2, 0, returnCode]);
}

export const PINGRESP = Buffer.from([0xd0, 0]);
