import { assertNever } from "../base/errors.ts";

/**
 * The link to the cloud, as a pure state machine: no timers, no sockets.
 *
 *   paused ──promoted──▶ connecting ──opened──▶ connected
 *                          │    ▲                   │
 *                    failed│    │tick, when due     │failed
 *                          ▼    │                   │
 *                         waiting ◀─────────────────┘
 *
 *   demoted, in any state ──▶ paused        promoted while every broker is left alone ──▶ waiting
 *
 * `attempt` counts from 1 and grows with each failure. A connection that lived for `stableMs` starts it anew: one that
 * is accepted and thrown out again keeps backing off.
 */
export type Link =
  | { readonly at: "paused" }
  | { readonly at: "connecting"; readonly attempt: number }
  | { readonly at: "connected"; readonly attempt: number; readonly sinceMs: number }
  | { readonly at: "waiting"; readonly attempt: number; readonly retryAtMs: number };

export type LinkEvent = "promoted" | "demoted" | "opened" | "failed" | "tick";

export type LinkAction = "open" | "close";

export interface LinkTiming {
  readonly backoffMs: (attempt: number) => number;
  readonly stableMs: number;
  /** How long every broker is left alone; 0 when one may be tried. */
  readonly heldMs: () => number;
}

/** The only way a link changes. An event that means nothing in a state leaves it as it is. */
export function nextLink(
  link: Link,
  event: LinkEvent,
  nowMs: number,
  timing: LinkTiming,
): readonly [Link, readonly LinkAction[]] {
  if (event === "demoted") return demoted(link);

  switch (link.at) {
    case "paused":
      return event === "promoted" ? promoted(nowMs, timing) : [link, []];

    case "connecting":
      if (event === "opened")
        return [{ at: "connected", attempt: link.attempt, sinceMs: nowMs }, []];
      return event === "failed" ? [wait(link.attempt, nowMs, timing), ["close"]] : [link, []];

    case "connected": {
      if (event !== "failed") return [link, []];
      const stable = nowMs - link.sinceMs >= timing.stableMs;
      return [wait(stable ? 1 : link.attempt, nowMs, timing), ["close"]];
    }

    case "waiting":
      return event === "tick" && nowMs >= link.retryAtMs
        ? [{ at: "connecting", attempt: link.attempt + 1 }, ["open"]]
        : [link, []];

    default:
      return assertNever(link);
  }
}

function promoted(nowMs: number, { heldMs }: LinkTiming): readonly [Link, readonly LinkAction[]] {
  const leftMs = heldMs();
  return leftMs === 0
    ? [{ at: "connecting", attempt: 1 }, ["open"]]
    : [{ at: "waiting", attempt: 0, retryAtMs: nowMs + leftMs }, []];
}

function demoted(link: Link): readonly [Link, readonly LinkAction[]] {
  const open = link.at === "connecting" || link.at === "connected";
  return link.at === "paused" ? [link, []] : [{ at: "paused" }, open ? ["close"] : []];
}

function wait(attempt: number, nowMs: number, timing: LinkTiming): Link {
  return { at: "waiting", attempt, retryAtMs: nowMs + timing.backoffMs(attempt) };
}
