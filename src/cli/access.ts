import type { Decision } from "../access/rules.ts";
import { FieldgateError } from "../base/errors.ts";
import type { AccessExplained } from "../gateway-explain.ts";
import type { Command } from "./command.ts";
import { askGateway } from "./socket.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["explain"],
  help: `fieldgate access explain CLIENT TOPIC [--config FILE | --socket PATH] [--json]   what a client may do, and why

CLIENT is a client id, connected or with a session; where there is none of that name, the user of the users file. TOPIC may be a
filter: then it says whether it may be subscribed to. Asks the running gateway.

Examples:
  fieldgate access explain boiler-7 plant/boiler-7/temperature
  fieldgate access explain screen 'plant/#'

Exit codes: 0 it may publish and subscribe, 1 one of the two, 2 neither, 3 no gateway answers
`,

  async run(invocation) {
    const [action, client, topic, ...more] = invocation.rest;
    if (action !== "explain" || !client || !topic || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "access knows: fieldgate access explain CLIENT TOPIC");
    }
    const query = new URLSearchParams({ client, topic });
    const told = (await askGateway(invocation, `access/explain?${query}`)) as AccessExplained;
    say(invocation.json, told, () => screen(told));
    return [told.publish, told.subscribe].filter(({ allowed }) => !allowed).length;
  },
};

/** The screen of `fieldgate access explain`. */
export function screen({ clientId, topic, known, principal, ...may }: AccessExplained): string {
  const { user, method, roles } = principal;
  const who = user === null ? `nobody in particular (${method})` : `${user} (${method})`;
  const lines = [
    `${clientId} is ${who}${known ? "" : ", not here just now"}`,
    `  roles      ${roles.length === 0 ? "none" : roles.join(", ")}`,
    `  publish    ${sentence(may.publish, topic)}`,
    `  subscribe  ${sentence(may.subscribe, topic)}`,
  ];
  return `${lines.join("\n")}\n`;
}

function sentence({ rule }: Decision, topic: string): string {
  if (rule === null) return `denied: no rule allows ${topic}`;
  return `${VERBS[rule.effect].join(`: role ${rule.role} `)} ${rule.filter}`;
}

const VERBS = { allow: ["allowed", "allows"], deny: ["denied", "denies"] } as const;
