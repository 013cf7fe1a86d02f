/**
 * A virtual board, as a pure state machine.
 *
 *   off ──power-on──▶ booting ──tick, when ready──▶ running ──tick, when due──▶ running + sample
 *                        ▲                             │
 *                        └─────────brown-out───────────┘ + cut: what was being sent stays half
 *
 *   power-off, in any state ──▶ off + cut
 */
export type Board =
  | { readonly at: "off" }
  | { readonly at: "booting"; readonly readyAtMs: number }
  | { readonly at: "running"; readonly dueAtMs: number };

export type BoardEvent = "power-on" | "power-off" | "brown-out" | "tick";
export type BoardAction = "sample" | "cut";

export interface BoardTiming {
  readonly bootMs: number;
  /** 0: as fast as the send buffer takes it. */
  readonly intervalMs: number;
}

/** The only way a board changes. */
export function nextBoard(
  board: Board,
  event: BoardEvent,
  nowMs: number,
  timing: BoardTiming,
): readonly [Board, BoardAction | null] {
  if (event === "power-off") return [{ at: "off" }, "cut"];
  switch (board.at) {
    case "off":
      return event === "power-on" ? [boot(nowMs, timing), null] : [board, null];
    case "booting":
      return event === "tick" && nowMs >= board.readyAtMs
        ? [{ at: "running", dueAtMs: nowMs }, null]
        : [board, null];
    case "running": {
      if (event === "brown-out") return [boot(nowMs, timing), "cut"];
      if (event !== "tick" || nowMs < board.dueAtMs) return [board, null];
      // A timer of firmware keeps its pace, but does not make up for a second that was missed.
      const dueAtMs = Math.max(board.dueAtMs, nowMs - 1000) + timing.intervalMs;
      return [{ at: "running", dueAtMs }, "sample"];
    }
    default:
      throw new Error(`unreachable: ${JSON.stringify(board satisfies never)}`);
  }
}

function boot(nowMs: number, timing: BoardTiming): Board {
  return { at: "booting", readyAtMs: nowMs + timing.bootMs };
}
