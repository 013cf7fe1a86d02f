import { errorFields, FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import { formatMistakes } from "../config/format-mistakes.ts";
import type { Config } from "../config/schema.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { ask } from "../control/control-client.ts";
import { examine } from "../doctor/doctor.ts";
import { certificateChecks } from "../doctor/file-certificate-checks.ts";
import { SYSTEM_SERIAL_PLACES, serialChecks } from "../doctor/file-serial-checks.ts";
import { storeChecks } from "../doctor/file-store-checks.ts";
import { type Check, exitCodeOf, type Finding } from "../doctor/finding.ts";
import { type GatewayAnswer, gatewayChecks } from "../doctor/gateway-checks.ts";
import { clockChecks } from "../doctor/host-clock-checks.ts";
import { machineChecks, SYSTEM_MACHINE_PLACES } from "../doctor/host-machine-checks.ts";
import { listenerChecks } from "../doctor/listener-checks.ts";
import { etcdChecks } from "../doctor/net-etcd-checks.ts";
import { type UplinkAddress, uplinkChecks } from "../doctor/net-uplink-checks.ts";
import { screen } from "../doctor/screen.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { hostSynchronised, SYSTEM_TIME_PLACES } from "../health/host-time-sources.ts";
import { findCandidates, isLookedUp, lookupSrv } from "../uplink/dns-endpoints.ts";
import { parseEndpoint, shownEndpoint } from "../uplink/endpoints.ts";
import { type Command, isGiven, textOf } from "./command.ts";
import { judge } from "./status.ts";
import { isColourful, say } from "./terminal.ts";

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
    const checks = config === null ? [] : await checksOf(config, socket);
    const isConfigMeant = only === null || only === "config";
    const found = [
      ...(isConfigMeant ? [finding] : []),
      ...(await examine(checks, only, systemClock)),
    ];
    if (found.length === 0) {
      const known = ["config", ...checks.map(({ id }) => id)].join(", ");
      throw new FieldgateError("ERR_USAGE", `no check is called ${only}; there are: ${known}`);
    }
    const findings = isGiven(invocation, "fix") ? await fixed(found) : found;
    const exit = exitCodeOf(findings);
    const shown = findings.map(({ fix: _, ...each }) => each);
    say(json, { exit, findings: shown }, () => screen(findings, isColourful()));
    return exit;
  },
};

async function configuration(path: string): Promise<{ config: Config | null; finding: Finding }> {
  const id = "config";
  try {
    const config = await loadConfig(path);
    return { config, finding: { id, verdict: "fine", what: `${path} is valid` } };
  } catch (error) {
    if (!(error instanceof FieldgateError)) throw error;
    const isInvalid = error.code === "ERR_CONFIG_INVALID";
    const finding: Finding = {
      id,
      verdict: "critical",
      what: isInvalid ? `${path} has mistakes` : `${path} cannot be read`,
      why: isInvalid ? formatMistakes(error) : error.message,
      todo: `fieldgate config check --config ${path}`,
    };
    return { config: null, finding };
  }
}

async function checksOf(config: Config, socket: string | null): Promise<readonly Check[]> {
  const clock = systemClock;
  const status = await ask(socket ?? config.control.socket, "status").then(
    (answer) => answer as GatewayStatus,
    (error: unknown) => String(errorFields(error)["error"]),
  );
  const answer: GatewayAnswer =
    typeof status === "string"
      ? { error: status }
      : { ...judge(status), uptimeMs: status.uptimeMs };
  const isConnected = typeof status !== "string" && status.uplink?.state === "connected";
  return [
    ...gatewayChecks(answer),
    ...clockChecks(clock, {
      synchronised: () => hostSynchronised(SYSTEM_TIME_PLACES),
      rtcDirectory: SYSTEM_TIME_PLACES.rtcDirectory,
    }),
    ...storeChecks(config, clock),
    ...serialChecks(config, SYSTEM_SERIAL_PLACES),
    ...certificateChecks(config, clock.wallMs()),
    ...(await uplinkChecksOf(config, isConnected)),
    ...(config.cluster ? etcdChecks(config.cluster, clock) : []),
    ...machineChecks(SYSTEM_MACHINE_PLACES),
    ...listenerChecks(config),
  ];
}

async function uplinkChecksOf(
  { uplink, gateway }: Config,
  isConnected: boolean,
): Promise<readonly Check[]> {
  if (uplink === undefined) return [];
  const clock = systemClock;
  const found = await Promise.all(uplink.endpoints.map(brokersBehind));
  const addresses = found.flatMap(({ endpoints }) =>
    endpoints.flatMap((endpoint): UplinkAddress[] => {
      const address = parseEndpoint(endpoint);
      return address === null ? [] : [{ ...address, endpoint, shown: shownEndpoint(endpoint) }];
    }),
  );
  const lookups = found.flatMap(({ finding }): Check[] =>
    finding === null ? [] : [{ id: "uplink.srv", run: async () => [finding] }],
  );
  const clientId = `${uplink.clientId ?? `${gateway.site}-${gateway.id}`}-doctor`;
  const mqtt = isConnected
    ? null
    : async (address: UplinkAddress) => {
        // The package is large: who asks for other checks does not wait for it.
        const { probeEndpoint } = await import("../uplink/mqtt-probe.ts");
        const tools = { clock, clientId, topic: "fieldgate/doctor" };
        return probeEndpoint(address.endpoint, uplink, tools);
      };
  return [...lookups, ...uplinkChecks(uplink, addresses, { clock, mqtt })];
}

/** The endpoint itself, or what its SRV records say now. */
async function brokersBehind(
  endpoint: string,
): Promise<{ endpoints: readonly string[]; finding: Finding | null }> {
  if (!isLookedUp(endpoint)) return { endpoints: [endpoint], finding: null };
  const id = "uplink.srv";
  const shown = shownEndpoint(endpoint);
  try {
    const endpoints = (await findCandidates([endpoint], lookupSrv)).map((one) => one.endpoint);
    const what = `${shown} names ${endpoints.map(shownEndpoint).join(", ")}`;
    return { endpoints, finding: { id, verdict: "fine", what } };
  } catch (error) {
    if (!(error instanceof FieldgateError)) throw error;
    const what = `${shown} names no broker that can be used`;
    const todo = `dig SRV ${new URL(endpoint).hostname}`;
    const finding: Finding = { id, verdict: "critical", what, why: error.message, todo };
    return { endpoints: [], finding };
  }
}

async function fixed(findings: readonly Finding[]): Promise<readonly Finding[]> {
  const after: Finding[] = [];
  for (const finding of findings) {
    if (finding.fix === undefined || finding.verdict === "fine") after.push(finding);
    else after.push({ id: finding.id, verdict: "fine", what: `fixed: ${await finding.fix()}` });
  }
  return after;
}
