import type { SessionQueue } from "./ports.ts";

/** How much may be on its way to one session, and what happens beyond. */
export interface SessionLimits {
  readonly subscriptionsMax: number;
  readonly sharedPerSessionMax: number;
  readonly inflightMax: number;
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
  readonly queueWhenFull: "drop-oldest" | "drop-new" | "disconnect";
  readonly outputBytesMax: number;
}

/** Whether what waits for a persistent session is as much as may. */
export function queueIsFull(
  { headIndex, tailIndex, bytes }: SessionQueue,
  { queueMessagesMax, queueBytesMax }: SessionLimits,
): boolean {
  return tailIndex - headIndex >= queueMessagesMax || bytes >= queueBytesMax;
}
