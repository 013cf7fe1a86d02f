import { FieldgateError } from "../base/errors.ts";
import type { ShownMessage } from "../gateway-technician.ts";
import { type Command, numberOf } from "./command.ts";
import { payloadText } from "./messages.ts";
import { askGateway } from "./socket.ts";
import { paint, say, visible } from "./terminal.ts";
import { count } from "./words.ts";

export const command: Command = {
  options: { bytes: { type: "string" } },
  help: `fieldgate retained [FILTER] [--bytes N] [--config FILE | --socket PATH] [--json]   the retained messages

The last message of each topic that asked to be retained and that FILTER matches (default #), the first thousand of them. What the
gateway says of itself lies below $SYS.

  --bytes N   how much of a payload is shown (256)

Examples:
  fieldgate retained
  fieldgate retained '$SYS/#'
  fieldgate retained 'plant/+/state' --json | jq .retained

Exit codes: 0 told, 2 no such filter, 3 no gateway answers
`,

  async run(invocation) {
    const [filter = "#", ...others] = invocation.rest;
    if (others.length > 0) {
      throw new FieldgateError("ERR_USAGE", "retained wants one filter: put it into quotes");
    }
    const bytes = numberOf(invocation, "bytes", { usual: 256, min: 1, max: 65_536 });
    const query = new URLSearchParams({ filter, bytes: String(bytes) });
    const told = (await askGateway(invocation, `retained?${query}`)) as RetainedTold;
    say(invocation.json, told, () => screen(told));
    return 0;
  },
};

interface RetainedTold {
  readonly retained: readonly ShownMessage[];
  readonly more: number;
}

/** One line a topic. */
export function screen({ retained, more }: RetainedTold): string {
  const lines = retained.map(
    ({ topic, qos, payload }) =>
      `${paint("bold", visible(topic))} ${paint("dim", `(QoS ${qos})`)} ${payloadText(payload)}`,
  );
  if (more > 0) lines.push(`and ${count(more)} more: name a narrower filter`);
  if (lines.length === 0) lines.push("nothing is retained there");
  return `${lines.join("\n")}\n`;
}
