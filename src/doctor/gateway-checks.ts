import type { Check, Finding } from "./finding.ts";

/** What the running gateway says of itself: its own verdict, or that nobody answered and why. */
export type GatewayAnswer =
  | { readonly exit: 0 | 1 | 2; readonly reasons: readonly string[]; readonly uptimeMs: number }
  | { readonly error: string };

/** Whether the gateway runs, and what it complains of. */
export function gatewayChecks(answer: GatewayAnswer): readonly Check[] {
  return [{ id: "gateway", run: async () => [finding(answer)] }];
}

function finding(answer: GatewayAnswer): Finding {
  const id = "gateway";
  if ("error" in answer) {
    return {
      id,
      verdict: "critical",
      what: "no gateway answers",
      why: answer.error,
      todo: "systemctl status fieldgate; journalctl -u fieldgate -n 50",
    };
  }
  const minutes = Math.floor(answer.uptimeMs / 60_000);
  if (answer.exit === 0) return { id, verdict: "fine", what: `running for ${minutes} min` };
  return {
    id,
    verdict: answer.exit === 2 ? "critical" : "warning",
    what: `running for ${minutes} min, and complains`,
    why: answer.reasons.join("; "),
    todo: "fieldgate status",
  };
}
