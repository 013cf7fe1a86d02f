import { wallMsOf } from "../base/wall-time.ts";

/** What the gateway knows of the time when a command arrives. */
export interface Now {
  readonly wallMs: number;
  /** False while the wall clock may be anywhere: before it was set after a power cut, on a board without a battery. */
  readonly wallIsSure: boolean;
}

/**
 * How long a command may still be carried out, in ms from its arrival; infinite when it has no deadline. From then on only
 * monotonic time counts. The message expiry of MQTT 5 is a time span and needs no wall clock; a deadline is a time of day,
 * and a gateway that does not know the time cannot tell whether it has passed.
 *
 * @param deadline ISO 8601 with a time zone, or null
 */
export function leftMs(
  properties: { readonly messageExpiryInterval?: number } | null,
  deadline: string | null,
  now: Now,
): number | "deadline-invalid" | "clock-unsure" {
  const span = (properties?.messageExpiryInterval ?? Number.POSITIVE_INFINITY) * 1000;
  if (deadline === null) return span;
  const atMs = ISO.test(deadline) ? wallMsOf(deadline) : Number.NaN;
  if (Number.isNaN(atMs)) return "deadline-invalid";
  if (!now.wallIsSure) return "clock-unsure";
  return Math.min(span, atMs - now.wallMs);
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;
