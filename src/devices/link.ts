import { assertNever } from "../base/errors.ts";
import type { PortTrouble } from "./port.ts";

/**
 * The link to a device, as a pure state machine: no timers, no ports.
 *
 *   closed ──start──▶ opening ──opened──▶ open
 *                      │   ▲                │
 *         failed, late │   │ tick, when due │ lost
 *                      ▼   │                │
 *                     waiting ◀─────────────┘
 *
 *   stop, in any state ──▶ closed
 *
 * `why` is the trouble of the last attempt: it stays while the next one runs, so that status never flickers to "fine".
 */
export type Link =
  | { readonly at: "closed" }
  | {
      readonly at: "opening";
      readonly attempt: number;
      readonly sinceMs: number;
      readonly why: PortTrouble | null;
    }
  | { readonly at: "open"; readonly attempt: number; readonly sinceMs: number }
  | {
      readonly at: "waiting";
      readonly attempt: number;
      readonly retryAtMs: number;
      readonly why: PortTrouble;
    };

export type LinkEvent =
  | { readonly is: "start" | "stop" | "opened" | "tick" }
  | { readonly is: "failed" | "lost"; readonly why: PortTrouble };

export type LinkAction = "open" | "close";

export interface LinkTiming {
  /** Delay before the attempt after `attempt`, counted from 1; with jitter. */
  readonly backoffMs: (attempt: number) => number;
  readonly openTimeoutMs: number;
  /** A port that stayed open at least this long forgives earlier failures. */
  readonly stableMs: number;
}

/** The only way a link changes. An event that means nothing in a state leaves it as it is. */
export function nextLink(
  link: Link,
  event: LinkEvent,
  nowMs: number,
  timing: LinkTiming,
): readonly [Link, readonly LinkAction[]] {
  if (event.is === "stop") return link.at === "closed" ? [link, []] : [{ at: "closed" }, ["close"]];

  switch (link.at) {
    case "closed":
      return event.is === "start" ? open(1, null, nowMs) : [link, []];

    case "opening": {
      const { attempt } = link;
      if (event.is === "opened") return [{ at: "open", attempt, sinceMs: nowMs }, []];
      if (event.is === "failed") return [wait(attempt, event.why, nowMs, timing), []];
      const late = event.is === "tick" && nowMs - link.sinceMs >= timing.openTimeoutMs;
      return late ? [wait(attempt, "timeout", nowMs, timing), ["close"]] : [link, []];
    }

    case "open": {
      if (event.is !== "lost") return [link, []];
      const stable = nowMs - link.sinceMs >= timing.stableMs;
      return [wait(stable ? 1 : link.attempt, event.why, nowMs, timing), ["close"]];
    }

    case "waiting":
      return event.is === "tick" && nowMs >= link.retryAtMs
        ? open(link.attempt + 1, link.why, nowMs)
        : [link, []];

    default:
      return assertNever(link);
  }
}

function open(
  attempt: number,
  why: PortTrouble | null,
  nowMs: number,
): readonly [Link, readonly LinkAction[]] {
  return [{ at: "opening", attempt, sinceMs: nowMs, why }, ["open"]];
}

function wait(attempt: number, why: PortTrouble, nowMs: number, timing: LinkTiming): Link {
  return { at: "waiting", attempt, why, retryAtMs: nowMs + timing.backoffMs(attempt) };
}
