import type { DropReason } from "./cloud.ts";

/**
 * What a reason code in a PUBACK, PUBREC or PUBCOMP means for the message (MQTT 5, section 2.4).
 *
 * A refusal that would be the same tomorrow gives the message up. Every other one (quota, an unspecified or
 * implementation specific error, or a code that we do not know) is the cloud's trouble of today: the connection is
 * closed and the message sent again, because what a lane has accepted must not be overtaken.
 */
export function verdictOf(reasonCode: number): "taken" | "try again" | DropReason {
  if (reasonCode < 0x80) return "taken";
  return REFUSED.get(reasonCode) ?? "try again";
}

const REFUSED: ReadonlyMap<number, DropReason> = new Map([
  [0x87, "not-authorized"],
  [0x90, "topic-invalid"],
  [0x95, "packet-too-large"],
  [0x99, "payload-invalid"],
]);

/**
 * Whether a CONNACK says that the server does not speak the version: 0x84 in MQTT 5 [MQTT-3.1.2-2], 1 from a server
 * that knows 3.1.1 only.
 */
export function refusesVersion(connackCode: number): boolean {
  return connackCode === 0x84 || connackCode === 0x01;
}
