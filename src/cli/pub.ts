import { FieldgateError } from "../base/errors.ts";
import type { Published } from "../gateway-technician.ts";
import { type Command, isGiven, numberOf } from "./command.ts";
import { tellGateway } from "./socket.ts";
import { say, visible } from "./terminal.ts";

export const command: Command = {
  options: { qos: { type: "string" }, retain: { type: "boolean" }, stdin: { type: "boolean" } },
  help: `fieldgate pub TOPIC [PAYLOAD | --stdin] [--qos N] [--retain] [--socket PATH] [--json]   publish a message

Goes the way of every message: to subscribers, to the disk and to the cloud, as its QoS and the rules say. Answers once it is
kept.
Without a payload it is empty: with --retain that takes the retained message of the topic away.

  --qos N    0, 1 (usual) or 2
  --retain   keep it as the last of its topic
  --stdin    the payload is what comes on standard input, whatever bytes they are

Examples:
  fieldgate pub plant/oven/setpoint 180
  fieldgate pub plant/oven/setpoint --retain
  fieldgate pub test/blob --stdin < photo.jpg

Exit codes: 0 it was taken, 2 it was refused, 3 no gateway answers
`,

  async run(invocation) {
    const { rest, json } = invocation;
    const [topic, text = "", ...more] = rest;
    const fromInput = isGiven(invocation, "stdin");
    if (topic === undefined || more.length > 0 || (fromInput && rest.length > 1)) {
      throw new FieldgateError(
        "ERR_USAGE",
        "pub wants a topic and one payload: quote what has spaces",
      );
    }
    const payload = fromInput ? { base64: await inputBase64() } : { text };
    const qos = numberOf(invocation, "qos", { usual: 1, min: 0, max: 2 });
    const message = { topic, qos, retain: isGiven(invocation, "retain"), ...payload };
    const told = (await tellGateway(invocation, "publish", message)) as Published;
    say(json, told, () => screen(told));
    return 0;
  },
};

/** What became of it, in one line. */
export function screen({ topic, subscribers, lane, kept }: Published): string {
  const local = `${subscribers} ${subscribers === 1 ? "subscriber" : "subscribers"} here`;
  const cloud = lane === null ? "stays here" : `leaves for the cloud on lane ${lane}`;
  return `${visible(topic)}: taken${kept ? " and on disk" : ", not kept"}; ${local}; ${cloud}\n`;
}

async function inputBase64(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("base64");
}
