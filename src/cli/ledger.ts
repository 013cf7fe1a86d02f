import { ask } from "../control/control-client.ts";
import type { LedgerProof } from "../gateway-status.ts";
import type { Command } from "./command.ts";
import { socketOf } from "./socket.ts";

/** The whole backlog is read: a gateway that was cut off for a week has a large one. */
const ANSWER_MS_MAX = 300_000;

export const command: Command = {
  help: `fieldgate ledger [--config FILE | --socket PATH] [--json]   prove that nothing has gone missing

For each lane of the uplink: accepted = delivered + dropped + queued, since the journal began. What is queued is counted in
the journal, message by message. For each device: frames = accepted + refused + in flight, since the start.

Exit codes: 0 the books balance, 2 they do not, 3 no gateway answers
`,

  async run({ configPath, socket, json }) {
    const path = socket ?? (await socketOf(configPath));
    let proof: LedgerProof;
    try {
      proof = (await ask(path, "ledger", ANSWER_MS_MAX)) as LedgerProof;
    } catch (error) {
      process.stderr.write(`fieldgate: ${error instanceof Error ? error.message : error}\n`);
      return 3;
    }
    const balanced = isBalanced(proof);
    process.stdout.write(json ? `${JSON.stringify({ ...proof, balanced })}\n` : screen(proof));
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
    const parts = [`${number(delivered)} delivered`, ...losses(dropped, "dropped")];
    parts.push(`${number(queued)} queued`);
    lines.push(row(`lane ${name}`, `${number(accepted)} accepted`, parts, missing));
  }
  for (const [name, { frames, accepted, refused, inflight, missing }] of Object.entries(
    proof.devices,
  )) {
    const parts = [`${number(accepted)} accepted`, ...losses(refused, "refused")];
    parts.push(`${number(inflight)} in flight`);
    lines.push(row(`device ${name}`, `${number(frames)} frames`, parts, missing));
  }
  lines.push(isBalanced(proof) ? "The books balance." : "The books do not balance.");
  return `${lines.join("\n")}\n`;
}

function row(name: string, whole: string, parts: readonly string[], missing: number): string {
  const verdict =
    missing === 0 ? "" : `  ! ${number(Math.abs(missing))} ${missing > 0 ? "missing" : "too many"}`;
  return `  ${name.padEnd(20)} ${whole} = ${parts.join(" + ")}${verdict}`;
}

function losses(counts: Readonly<Record<string, number>>, verb: string): string[] {
  return Object.entries(counts).map(([reason, each]) => `${number(each)} ${verb} (${reason})`);
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
