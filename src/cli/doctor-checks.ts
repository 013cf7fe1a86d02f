import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import { formatMistakes } from "../config/format-mistakes.ts";
import type { Config } from "../config/schema.ts";
import { loadConfig, parseConfig } from "../config/yaml-load.ts";
import { ask } from "../control/control-client.ts";
import { SYSTEM_SERIAL_PLACES as PORT_PLACES, pathsLike } from "../devices/file-adapters.ts";
import { namesakesOf, stableName } from "../devices/file-port-names.ts";
import { credentialChecks } from "../doctor/credential-checks.ts";
import { examine } from "../doctor/doctor.ts";
import { certificateChecks } from "../doctor/file-certificate-checks.ts";
import {
  type PortNames,
  SYSTEM_SERIAL_PLACES,
  serialChecks,
} from "../doctor/file-serial-checks.ts";
import { storeChecks } from "../doctor/file-store-checks.ts";
import { type Check, exitCodeOf, type Finding } from "../doctor/finding.ts";
import { type GatewayAnswer, gatewayChecks } from "../doctor/gateway-checks.ts";
import { clockChecks } from "../doctor/host-clock-checks.ts";
import { machineChecks, SYSTEM_MACHINE_PLACES } from "../doctor/host-machine-checks.ts";
import { listenerChecks } from "../doctor/listener-checks.ts";
import { etcdChecks } from "../doctor/net-etcd-checks.ts";
import { type UplinkAddress, uplinkChecks } from "../doctor/net-uplink-checks.ts";
import { screen, textColumn } from "../doctor/screen.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { hostSynchronised, SYSTEM_TIME_PLACES } from "../health/host-time-sources.ts";
import { findCandidates, isLookedUp, lookupSrv } from "../uplink/dns-endpoints.ts";
import { parseEndpoint, shownEndpoint } from "../uplink/endpoints.ts";
import { understood } from "./other-version.ts";
import { judge } from "./status.ts";
import { fitted, isColourful } from "./terminal.ts";

/** Walks the way to each broker of the cloud, beside a gateway that may be connected. */
export async function walkUplink(config: Config) {
  const found = await examine(await uplinkChecksOf(config, false), null, systemClock);
  const findings = found.map(({ fix: _, ...each }) => each);
  const lines = screen(findings, isColourful());
  const fit = fitted(lines, process.stdout.columns, textColumn(findings));
  return { exit: exitCodeOf(findings), findings, screen: fit };
}

/** The configuration, and what is to be said of its file. */
export async function configuration(
  path: string,
): Promise<{ config: Config | null; finding: Finding }> {
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

/** What can be told where no configuration can be read: of a gateway that runs by an earlier one, and of the machine. */
export async function checksWithoutConfig(socket: string | null): Promise<readonly Check[]> {
  const { control, health } = parseConfig("{}", "");
  const { answer } = await askedStatus(socket ?? control.socket);
  return [...gatewayChecks(answer, false), ...hostChecks(health)];
}

/** Every check that this configuration calls for. */
export async function checksOf(config: Config, socket: string | null): Promise<readonly Check[]> {
  const clock = systemClock;
  const { status, answer } = await askedStatus(socket ?? config.control.socket);
  const isConnected = typeof status !== "string" && status.uplink?.state === "connected";
  return [
    ...gatewayChecks(answer, config.cluster?.peer !== undefined),
    ...hostChecks(config.health),
    ...storeChecks(config, clock),
    ...serialChecks(
      config,
      SYSTEM_SERIAL_PLACES,
      PORT_NAMES,
      "error" in answer ? null : answer.pid,
    ),
    ...certificateChecks(config, clock.wallMs()),
    ...(await uplinkChecksOf(config, isConnected)),
    ...(config.cluster ? etcdChecks(config.cluster, clock) : []),
    ...listenerChecks(config),
    ...credentialChecks(config),
  ];
}

async function askedStatus(
  socket: string,
): Promise<{ readonly status: GatewayStatus | string; readonly answer: GatewayAnswer }> {
  try {
    const status = (await ask(socket, "status")) as GatewayStatus;
    return { status, answer: understood(status, () => answerOf(status)) };
  } catch (error) {
    if (!(error instanceof FieldgateError)) throw error;
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    const answer = { error: error.message, isForbidden: code === "EACCES" };
    return { status: error.message, answer };
  }
}

function hostChecks(health: Config["health"]): readonly Check[] {
  const clock = clockChecks(systemClock, {
    synchronised: () => hostSynchronised(SYSTEM_TIME_PLACES),
    rtcDirectory: SYSTEM_TIME_PLACES.rtcDirectory,
  });
  return [...clock, ...machineChecks(SYSTEM_MACHINE_PLACES, health)];
}

/** As the gateway itself tells ports apart. */
const PORT_NAMES: PortNames = {
  stable: (path) => stableName(path, PORT_PLACES),
  namesakes: (port) => namesakesOf(port, PORT_PLACES),
  like: pathsLike,
};

function answerOf(status: GatewayStatus): Exclude<GatewayAnswer, { error: string }> {
  const { uptimeMs, pid, time, broker, replication } = status;
  return {
    ...judge(status),
    uptimeMs,
    pid,
    lastStepMs: time.lastStepMs,
    steps: time.steps,
    sessions: broker.persistent,
    peers: replication?.peers ?? null,
  };
}

/**
 * The way to each broker of the cloud.
 * @param isConnected the gateway is: the doctor does not connect beside it
 */
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
