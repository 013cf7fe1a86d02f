import type { QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { Loan } from "./loans.ts";

/**
 *   sent ──PUBREC──▶ received ──kept──▶ released: PUBREL is out
 *
 * Only QoS 2 goes further than `sent`. Where nothing is to be kept it is released at once.
 */
type Stage = "sent" | "received" | "released";

export interface Sent {
  readonly packetId: number;
  /** Null for a message whose identifier is all that is left of it. */
  frame: PublishFrame | null;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Position in the durable queue, or 0 for another message. */
  readonly index: number;
  stage: Stage;
  /** Where it came from when a shared group has lent it. */
  readonly loan: Loan | null;
}
