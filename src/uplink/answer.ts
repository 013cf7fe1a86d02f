import { isoTime } from "../base/wall-time.ts";
import type { Refusal } from "./command-reasons.ts";
import type { GatewayIdentity } from "./rules.ts";

export type Result =
  | { readonly result: "accepted" }
  | { readonly result: "duplicate" }
  /** `final`: it would be refused again. Otherwise the cloud sends it again, and it is tried again. */
  | { readonly result: "refused"; readonly reason: Refusal; readonly final: boolean };

/** The payload of an answer, JSON: the result, the command's id and topic at the cloud, who answers and when. */
export function answerPayload(
  result: Result,
  command: { readonly id: string | null; readonly topic: string },
  identity: GatewayIdentity,
  wallMs: number,
): Buffer {
  const { id, topic } = command;
  const time = isoTime(wallMs);
  return Buffer.from(JSON.stringify({ ...result, id, topic, ...identity, time }));
}
