export type Protocol = "5" | "3.1.1";

/** How an attempt with version 5 ended before it was accepted. */
export type Rebuff =
  /** The CONNACK refused the version. */
  | "refused"
  /** The connection ended without a CONNACK: a server that does not know version 5, or a bad line, or a restart. */
  | "hung up"
  /** Something that has nothing to do with the version. */
  | "unrelated";

/** What is known of the versions that an endpoint speaks. */
export interface Spoken {
  readonly accepted: Protocol | null;
  readonly hungUp: number;
}

export const NOTHING_KNOWN: Spoken = { accepted: null, hungUp: 0 };

/** How often in a row a server must hang up on version 5 before 3.1.1 is tried. */
const HANG_UPS = 3;

/** The version to begin with. */
export function firstChoice(spoken: Spoken): Protocol {
  return spoken.accepted ?? "5";
}

/**
 * What an attempt with version 5 taught us, and whether to try 3.1.1 now. Under 3.1.1 messages lose their identity, so
 * it takes a refusal in so many words, or several silent ones by a server that never accepted version 5. Only the
 * former is final.
 */
export function afterRebuff(spoken: Spoken, rebuff: Rebuff): readonly [Spoken, fallBack: boolean] {
  if (rebuff === "refused") return [{ accepted: "3.1.1", hungUp: 0 }, true];
  if (rebuff === "unrelated" || spoken.accepted === "5") return [spoken, false];
  const hungUp = spoken.hungUp + 1;
  return [{ ...spoken, hungUp }, hungUp >= HANG_UPS];
}

/** What is known after version 5 was accepted. */
export const ACCEPTED: Spoken = { accepted: "5", hungUp: 0 };
