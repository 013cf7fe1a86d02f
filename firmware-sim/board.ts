/**
 * A virtual board, as a pure state machine.
 *
 *   off ──power-on──▶ booting ──tick, when ready──▶ running ──tick, when due──▶ running + sample
 *                      ▲ ▲  └──tick, when ready, and the supply is weak──▶ booting + cut
 *                      │ │                             │ │
 *                      │ └────────brown-out────────────┘ │ + cut: what was being sent stays half
 *                      └─tick, when the watchdog barks── hung ◀──hang──┘
 *
 *   power-off, in any state ──▶ off + cut
 */
export type Board =
  | { readonly at: "off" }
  /** `failures`: how often it will fall over as soon as it has booted, because its supply is weak. */
  | { readonly at: "booting"; readonly readyAtMs: number; readonly failures: number }
  | { readonly at: "running"; readonly dueAtMs: number }
  | { readonly at: "hung"; readonly barkAtMs: number };

export type BoardEvent = "power-on" | "power-off" | "brown-out" | "hang" | "tick";
export type BoardAction = "sample" | "cut";

export interface BoardTiming {
  readonly bootMs: number;
  /** 0: as fast as the send buffer takes it. */
  readonly intervalMs: number;
  readonly watchdogMs: number;
  /** Of the brown-out that comes now: how often the board falls over again when it has booted. */
  readonly failures: number;
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
      return event === "power-on" ? [boot(nowMs, timing, 0), null] : [board, null];
    case "booting":
      if (event !== "tick" || nowMs < board.readyAtMs) return [board, null];
      return board.failures > 0
        ? [boot(nowMs, timing, board.failures - 1), "cut"]
        : [{ at: "running", dueAtMs: nowMs }, null];
    case "running":
      return nextRunning(board, event, nowMs, timing);
    case "hung":
      if (event === "brown-out") return [boot(nowMs, timing, timing.failures), "cut"];
      return event === "tick" && nowMs >= board.barkAtMs
        ? [boot(nowMs, timing, 0), "cut"]
        : [board, null];
    default:
      throw new Error(`unreachable: ${JSON.stringify(board satisfies never)}`);
  }
}

function nextRunning(
  board: Board & { readonly at: "running" },
  event: BoardEvent,
  nowMs: number,
  timing: BoardTiming,
): readonly [Board, BoardAction | null] {
  if (event === "brown-out") return [boot(nowMs, timing, timing.failures), "cut"];
  if (event === "hang") return [{ at: "hung", barkAtMs: nowMs + timing.watchdogMs }, null];
  if (event !== "tick" || nowMs < board.dueAtMs) return [board, null];
  // A timer of firmware keeps its pace, but does not make up for a second that was missed.
  const dueAtMs = Math.max(board.dueAtMs, nowMs - 1000) + timing.intervalMs;
  return [{ at: "running", dueAtMs }, "sample"];
}

/** When something is to be done next by itself; null when nothing is. */
export function dueMs(board: Board): number | null {
  switch (board.at) {
    case "off":
      return null;
    case "booting":
      return board.readyAtMs;
    case "running":
      return board.dueAtMs;
    case "hung":
      return board.barkAtMs;
    default:
      throw new Error(`unreachable: ${JSON.stringify(board satisfies never)}`);
  }
}

function boot(nowMs: number, timing: BoardTiming, failures: number): Board {
  return { at: "booting", readyAtMs: nowMs + timing.bootMs, failures };
}
