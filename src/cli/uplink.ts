import { FieldgateError } from "../base/errors.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { topicNameError } from "../mqtt/topic.ts";
import { explainRoute, type RouteExplained } from "../uplink/explain-route.ts";
import type { Command } from "./command.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["route"],
  help: `fieldgate uplink route TOPIC [--config FILE] [--json]   what happens to the messages of a topic, and why

Asks the rules of the configuration file, in their order; the gateway need not run. A message that came down from the cloud
stays, whatever the rules say.

Examples:
  fieldgate uplink route plant/oven/temperature

Exit codes: 0 they leave for the cloud, 1 they stay here, 2 nobody can publish to that topic
`,

  async run({ configPath, json, rest }) {
    const [action, topic, ...more] = rest;
    if (action !== "route" || topic === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "uplink knows: fieldgate uplink route TOPIC");
    }
    const fault = topicNameError(topic);
    if (fault !== null) {
      throw new FieldgateError(
        "ERR_TOPIC",
        `${JSON.stringify(topic)} cannot be published to: ${fault}`,
      );
    }
    const { uplink, gateway } = await loadConfig(configPath);
    const identity = { gateway: gateway.id, site: gateway.site };
    const route = explainRoute(topic, uplink, identity);
    say(json, route, () => screen(route));
    return route.leaves ? 0 : 1;
  },
};

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
