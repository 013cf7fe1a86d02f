import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import { examine } from "../doctor/doctor.ts";
import { exitCodeOf, type Finding } from "../doctor/finding.ts";
import { screen, textColumn } from "../doctor/screen.ts";
import { type Command, isGiven, textOf } from "./command.ts";
import { checksOf, checksWithoutConfig, configuration } from "./doctor-checks.ts";
import { fitted, isColourful, say } from "./terminal.ts";

export const command: Command = {
  options: { only: { type: "string" }, fix: { type: "boolean" } },
  help: `fieldgate doctor [--only ID] [--fix] [--config FILE] [--socket PATH] [--json]   what is wrong, why, and what to do

Looks at the configuration, the running gateway, the clock, the store, serial ports, certificates, the way to the cloud step by
step, etcd, the machine, and who can reach the broker. It works with the gateway running or not, and needs no network.
The way to the cloud is tried as a client of its own, {client id}-doctor, with one empty message to fieldgate/doctor;
not while the gateway is connected itself.

  --only ID   only the checks whose id is ID or begins with ID and a dot: --only uplink
  --fix       does what can be done without risk, and says what

Examples:
  fieldgate doctor
  fieldgate doctor --only uplink.tls
  fieldgate doctor --json | jq '.findings[] | select(.verdict != "fine")'

Exit codes: 0 all fine, 1 something to look at, 2 critical, 3 nothing could be told
`,

  async run(invocation) {
    const { configPath, socket, json } = invocation;
    const only = textOf(invocation, "only");
    const { config, finding } = await configuration(configPath);
    const checks =
      config === null ? await checksWithoutConfig(socket) : await checksOf(config, socket);
    const isConfigMeant = only === null || only === "config";
    const found = [
      ...(isConfigMeant ? [finding] : []),
      ...(await examine(checks, only, systemClock)),
    ];
    if (found.length === 0) {
      const known = ["config", ...checks.map(({ id }) => id)].join(", ");
      const without = config === null ? " without a valid configuration" : "";
      const message = `no check is called ${only}; there are${without}: ${known}`;
      throw new FieldgateError("ERR_USAGE", message);
    }
    const findings = isGiven(invocation, "fix") ? await fixed(found) : found;
    const exit = exitCodeOf(findings);
    const shown = findings.map(({ fix: _, ...each }) => each);
    say(json, { exit, findings: shown }, () =>
      fitted(screen(findings, isColourful()), process.stdout.columns, textColumn(findings)),
    );
    return exit;
  },
};

async function fixed(findings: readonly Finding[]): Promise<readonly Finding[]> {
  const after: Finding[] = [];
  for (const finding of findings) {
    if (finding.fix === undefined || finding.verdict === "fine") after.push(finding);
    else after.push({ id: finding.id, verdict: "fine", what: `fixed: ${await finding.fix()}` });
  }
  return after;
}
