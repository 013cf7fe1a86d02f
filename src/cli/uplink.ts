import { FieldgateError } from "../base/errors.ts";
import { loadConfig } from "../config/yaml-load.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { topicNameError } from "../mqtt/topic.ts";
import { explainRoute, type RouteExplained } from "../uplink/explain-route.ts";
import type { Command, Invocation } from "./command.ts";
import { understood } from "./other-version.ts";
import { askGateway } from "./socket.ts";
import { endpointRows, linkWarnings, progressWarnings, uplinkRows } from "./status-uplink.ts";
import { paint, say } from "./terminal.ts";

export const command: Command = {
  actions: ["status", "test", "route"],
  help: `fieldgate uplink [status] [--socket PATH] [--json]         how the uplink gets on: by what the cloud has acknowledged
fieldgate uplink test [--config FILE] [--json]             the way to each broker of the cloud, step by step, each timed
fieldgate uplink route TOPIC [--config FILE | --socket PATH] [--json]   what happens to the messages of a topic, and why

test goes as far as a message that the cloud acknowledges: DNS, TCP, TLS, clock, authentication, publish, acknowledgement.
It connects as a client of its own, {client id}-doctor, also while the gateway is connected, and sends one empty message to
fieldgate/doctor. The gateway need not run.
route asks the rules that the gateway runs with, in their order; where none runs, those of the configuration file, and says
so. A message that came down from the cloud stays, whatever the rules say.

Examples:
  fieldgate uplink
  fieldgate uplink test
  fieldgate uplink route plant/oven/temperature

Exit codes: 0 well, or the messages leave for the cloud; 1 something wants attention, or they stay here; 2 a step fails, or
nobody can publish to that topic; 3 no gateway answers
`,

  async run(invocation) {
    const [action = "status", topic, ...more] = invocation.rest;
    if (action === "status" && topic === undefined) return status(invocation);
    if (action === "test" && topic === undefined) return test(invocation);
    if (action !== "route" || topic === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "uplink knows status, test, and route TOPIC");
    }
    return route(invocation, topic);
  },
};

async function status(invocation: Invocation): Promise<number> {
  const told = (await askGateway(invocation, "status")) as GatewayStatus;
  const { uplink, progress, ledger, downlink, cluster } = told;
  if (uplink === null) {
    say(invocation.json, { uplink }, () => "no uplink is configured: every message stays here\n");
    return 0;
  }
  const rests = uplink.state === "paused" && cluster.role !== "primary";
  const reasons = understood(told, () => [
    ...linkWarnings("uplink", rests ? null : uplink),
    ...progressWarnings(told),
  ]);
  const shown = { uplink, progress, ledger, downlink, reasons };
  say(invocation.json, shown, () => {
    const marked = reasons.map((reason) => paint("yellow", `  ! ${reason}`));
    return `${[...marked, ...uplinkRows(told), ...endpointRows(uplink)].join("\n")}\n`;
  });
  return reasons.length === 0 ? 0 : 1;
}

async function test({ configPath, json }: Invocation): Promise<number> {
  const config = await loadConfig(configPath);
  if (config.uplink === undefined) {
    throw new FieldgateError("ERR_NOT_THERE", `${configPath} has no uplink`);
  }
  const { walkUplink } = await import("./doctor-checks.ts");
  const { exit, findings, screen } = await walkUplink(config);
  say(json, { exit, findings }, () => screen);
  return exit;
}

async function route(invocation: Invocation, topic: string): Promise<number> {
  const fault = topicNameError(topic);
  if (fault !== null) {
    const shown = JSON.stringify(topic);
    throw new FieldgateError("ERR_TOPIC", `${shown} cannot be published to: ${fault}`);
  }
  const query = new URLSearchParams({ topic });
  const told = await askGateway(invocation, `uplink/route?${query}`).catch(async (error) => {
    if (invocation.socket !== null || !isSilent(error)) throw error;
    return byFile(invocation, topic);
  });
  const { by, ...found } = { by: "gateway", ...(told as RouteExplained) };
  say(invocation.json, { ...found, by }, () => {
    const note = by === "gateway" ? "" : `by ${by}: no gateway answers\n`;
    return `${screen(found)}${note}`;
  });
  return found.leaves ? 0 : 1;
}

function isSilent(error: unknown): boolean {
  return error instanceof FieldgateError && error.code === "ERR_CONTROL";
}

async function byFile({ configPath }: Invocation, topic: string) {
  const { uplink, gateway } = await loadConfig(configPath);
  const identity = { gateway: gateway.id, site: gateway.site };
  return { ...explainRoute(topic, uplink, identity), by: configPath };
}

/** The screen of `fieldgate uplink route`. */
export function screen({ topic, leaves, why, to, rules }: RouteExplained): string {
  const lines = [`${topic} ${leaves ? "leaves" : "stays here"}: ${why}`];
  if (to !== null) {
    const expiry = to.expirySeconds === null ? "never by the rule" : `after ${to.expirySeconds} s`;
    lines.push(row("to", to.remoteTopic), row("lane", to.lane), row("QoS", String(to.qos)));
    lines.push(row("expires", expiry));
  }
  for (const [index, { match, whyNot }] of rules.entries()) {
    lines.push(row(`rule ${index}`, `${match}: ${whyNot ?? "matches"}`));
  }
  return `${lines.join("\n")}\n`;
}

function row(name: string, text: string): string {
  return `  ${name.padEnd(10)} ${text}`;
}
