import type { FaultyProxy } from "./proxy.ts";
import { seededRandom } from "./random.ts";

/** One thing that happens, and how long it is left to itself afterwards. */
export interface Step {
  readonly what: Misfortune;
  /** How much of it: bytes a second, bytes until the cut; nothing for the others. */
  readonly amount: number;
  readonly forMs: number;
  /** Whether the way is clear again then. */
  readonly clears: boolean;
}

export type Misfortune =
  | "clear"
  | "cut"
  | "cut mid-packet"
  | "half-close down"
  | "half-close up"
  | "stall"
  | "blackhole"
  | "slow"
  | "gateway killed"
  | "gateway restarted";

const ON_THE_LINE: readonly Misfortune[] = [
  "clear",
  "cut",
  "cut mid-packet",
  "half-close down",
  "half-close up",
  "stall",
  "blackhole",
  "slow",
];

/** What happens to a line and the gateway at its end: drawn from the seed, the same each time. */
export function scheduleOf(seed: number): readonly Step[] {
  const random = seededRandom(seed);
  const steps = Array.from({ length: 6 + Math.floor(random() * 8) }, () => {
    const what = ON_THE_LINE[Math.floor(random() * ON_THE_LINE.length)] as Misfortune;
    return stepOf(what, random);
  });
  // Starting a process takes longer than anything on the line: one in three schedules is enough.
  if (seed % 3 === 0) {
    const what = random() < 0.7 ? "gateway killed" : "gateway restarted";
    steps.splice(Math.floor(random() * steps.length), 0, stepOf(what, random));
  }
  return steps;
}

/** A schedule on one line, for the message of a failure. */
export function told(steps: readonly Step[]): string {
  return steps
    .map(({ what, amount, forMs, clears }) => {
      return `${what}${amount > 0 ? ` ${amount}` : ""} ${forMs} ms${clears ? " clear" : ""}`;
    })
    .join(", ");
}

/** Does to the line what the step says. What concerns the gateway is for the caller. */
export function strike(proxy: FaultyProxy, { what, amount }: Step): void {
  if (what === "cut") proxy.cut();
  else if (what === "cut mid-packet") proxy.cutAfter(amount);
  else if (what === "half-close down") proxy.halfClose("down");
  else if (what === "half-close up") proxy.halfClose("up");
  else if (what === "stall") proxy.way = "stalled";
  else if (what === "blackhole") proxy.way = "blackhole";
  else if (what === "slow") proxy.way = { bytesPerSecond: amount };
  else if (what === "clear") proxy.way = "clear";
}

function stepOf(what: Misfortune, random: () => number): Step {
  let amount = 0;
  if (what === "slow") amount = 5000 + Math.floor(random() * 300_000);
  if (what === "cut mid-packet") amount = 1 + Math.floor(random() ** 3 * 60_000);
  return { what, amount, forMs: 10 + Math.floor(random() * 140), clears: random() < 0.6 };
}
