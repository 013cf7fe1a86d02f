/** Why a command was refused. Each is counted and, where the command names a topic for it, answered. */
export const REFUSALS = [
  "not-subscribed",
  "topic-invalid",
  "too-large",
  "payload-invalid",
  "deadline-invalid",
  "clock-unsure",
  "expired",
  "own-message",
  "store-full",
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** The reason code of the PUBACK or PUBREC under MQTT 5 (tables 3-4 and 3-5). */
export function reasonCodeOf(refusal: Refusal): number {
  return CODES[refusal] ?? IMPLEMENTATION_SPECIFIC;
}

const IMPLEMENTATION_SPECIFIC = 0x83;
const TOPIC_NAME_INVALID = 0x90;
const PAYLOAD_FORMAT_INVALID = 0x99;

const CODES: Partial<Record<Refusal, number>> = {
  "not-subscribed": TOPIC_NAME_INVALID,
  "topic-invalid": TOPIC_NAME_INVALID,
  "payload-invalid": PAYLOAD_FORMAT_INVALID,
  "own-message": 0,
};
