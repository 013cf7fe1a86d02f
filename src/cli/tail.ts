import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import type { Skipped } from "../control/feed.ts";
import type { TailedMessage } from "../gateway-technician.ts";
import { type Command, numberOf } from "./command.ts";
import { payloadText } from "./messages.ts";
import { followGateway } from "./socket.ts";
import { paint, say, visible } from "./terminal.ts";

export const command: Command = {
  options: { count: { type: "string" }, bytes: { type: "string" } },
  help: `fieldgate tail [FILTER] [--count N] [--bytes N] [--socket PATH] [--json]   messages as they come, decoded

Every message that the gateway takes from now on and that FILTER matches (default #; below $ only what is named), once it is kept:
when, from whom, its topic, QoS, and payload: as text, or, when it is binary, in hexadecimal. A terminal that is too slow for the
messages slows nobody down: what does not fit is left out, and counted.

  --count N   end after N messages
  --bytes N   how much of a payload is shown (256)

Examples:
  fieldgate tail 'plant/#'
  fieldgate tail '$SYS/#' --count 5
  fieldgate tail --json | jq -r .topic

Exit codes: 0 ended by --count or Ctrl-C, 1 the gateway has ended, 2 no such filter, 3 no gateway answers
`,

  async run(invocation) {
    const { rest, json } = invocation;
    const [filter = "#", ...more] = rest;
    if (more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "tail wants one filter: put it into quotes");
    }
    const bytes = numberOf(invocation, "bytes", { usual: 256, min: 1, max: 65_536 });
    let left = numberOf(invocation, "count", { usual: Infinity, min: 1, max: 1e9 });
    const query = new URLSearchParams({ filter, bytes: String(bytes) });
    process.once("SIGINT", () => process.exit(0));
    const opened = () => process.stderr.write(`listening to ${filter}; Ctrl-C ends\n`);
    const said = followGateway(invocation, `tail?${query}`, opened);
    for await (const value of said) {
      const told = value as TailedMessage | Skipped;
      say(json, told, () => line(told));
      if (!("skipped" in told) && --left === 0) return 0;
    }
    return 1;
  },
};

/** One message, or how many could not be shown. */
export function line(told: TailedMessage | Skipped): string {
  if ("skipped" in told) return paint("yellow", `… ${told.skipped} left out: too many to show\n`);
  const { wallMs, from, topic, qos, retain, payload } = told;
  const time = isoTime(wallMs).slice(11);
  const how = `QoS ${qos}${retain ? ", retained" : ""}`;
  const head = `${time} ${paint("bold", visible(topic))} ${paint("dim", `(${visible(from) || "gateway"}, ${how})`)}`;
  return `${head} ${payloadText(payload)}\n`;
}
