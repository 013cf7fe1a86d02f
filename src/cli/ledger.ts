import type { LedgerProof } from "../gateway-status.ts";
import type { Command } from "./command.ts";
import { askGateway } from "./socket.ts";
import { say } from "./terminal.ts";
import { count } from "./words.ts";

/** The whole backlog is read: a gateway that was cut off for a week has a large one. */
const ANSWER_MS_MAX = 300_000;

export const command: Command = {
  help: `fieldgate ledger [--config FILE | --socket PATH] [--json]   prove that nothing has gone missing

For each lane of the uplink: accepted = delivered + dropped + queued, since the journal began. What is queued is counted in
the journal, message by message. For each device: frames = accepted + refused + in flight, since the start.

Examples:
  fieldgate ledger
  fieldgate ledger --json | jq .balanced

Exit codes: 0 the books balance, 2 they do not, 3 no gateway answers
`,

  async run(invocation) {
    // A gateway that hangs is told of within seconds, not after the time that a long proof may take.
    await askGateway(invocation, "status");
    const proof = (await askGateway(invocation, "ledger", ANSWER_MS_MAX)) as LedgerProof;
    const balanced = isBalanced(proof);
    say(invocation.json, { ...proof, balanced }, () => screen(proof));
    return balanced ? 0 : 2;
  },
};

export function isBalanced({ lanes, devices }: LedgerProof): boolean {
  return [...Object.values(lanes), ...Object.values(devices)].every(({ missing }) => missing === 0);
}

/** The screen of `fieldgate ledger`. */
export function screen(proof: LedgerProof): string {
  const lines = [`${proof.gateway}, journal ${proof.journal}`];
  for (const [name, { accepted, delivered, dropped, queued, missing }] of Object.entries(
    proof.lanes,
  )) {
    const parts = [`${count(delivered)} delivered`, ...losses(dropped, "dropped")];
    parts.push(`${count(queued)} queued`);
    lines.push(row(`lane ${name}`, `${count(accepted)} accepted`, parts, missing));
  }
  for (const [name, { frames, accepted, refused, inflight, missing }] of Object.entries(
    proof.devices,
  )) {
    const parts = [`${count(accepted)} accepted`, ...losses(refused, "refused")];
    parts.push(`${count(inflight)} in flight`);
    lines.push(row(`device ${name}`, `${count(frames)} frames`, parts, missing));
  }
  lines.push(isBalanced(proof) ? "The books balance." : "The books do not balance.");
  return `${lines.join("\n")}\n`;
}

function row(name: string, whole: string, parts: readonly string[], missing: number): string {
  const verdict =
    missing === 0 ? "" : `  ! ${count(Math.abs(missing))} ${missing > 0 ? "missing" : "too many"}`;
  return `  ${name.padEnd(20)} ${whole} = ${parts.join(" + ")}${verdict}`;
}

function losses(counts: Readonly<Record<string, number>>, verb: string): string[] {
  return Object.entries(counts).map(([reason, each]) => `${count(each)} ${verb} (${reason})`);
}
