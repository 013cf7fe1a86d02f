import { FieldgateError } from "../base/errors.ts";
import { isoTime } from "../base/wall-time.ts";
import type { ShownWaiting } from "../gateway-queue.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import type { Given } from "../uplink/lane-desk.ts";
import { type Command, type Invocation, isGiven, numberOf } from "./command.ts";
import { payloadText } from "./messages.ts";
import { askGateway, tellGateway } from "./socket.ts";
import { uplinkRows } from "./status-uplink.ts";
import { paint, say, visible } from "./terminal.ts";
import { count } from "./words.ts";

export const command: Command = {
  actions: ["show", "peek", "pause", "resume", "drop"],
  options: { count: { type: "string" }, confirm: { type: "boolean" } },
  help: `fieldgate queue [show] [--socket PATH] [--json]            what waits for the cloud, lane by lane
fieldgate queue peek LANE [--count N]                      its oldest messages
fieldgate queue pause LANE                                 send nothing of it until it is resumed, over restarts too
fieldgate queue resume LANE                                send it again
fieldgate queue drop LANE --confirm [--count N]            give up what waits, the oldest first

LANE is alarm, telemetry or bulk. What is dropped is gone: it is counted in the ledger as dropped (operator), and the cloud
is told by a record of the gap. Without --confirm drop only says what would go.

  --count N   how many (peek: 10, drop: all)
  --confirm   do it

Examples:
  fieldgate queue
  fieldgate queue peek bulk --count 3
  fieldgate queue drop bulk --count 100000 --confirm

Exit codes: 0 told or done, 1 drop without --confirm, 2 refused, 3 no gateway answers
`,

  async run(invocation) {
    const [action = "show", lane, ...more] = invocation.rest;
    if (action === "show" && lane === undefined) return show(invocation);
    if (!Object.hasOwn(ACTIONS, action) || lane === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "queue knows show; peek, pause, resume and drop LANE");
    }
    return ACTIONS[action as keyof typeof ACTIONS](invocation, lane);
  },
};

const ACTIONS = { peek, pause: hold, resume: hold, drop };

async function show(invocation: Invocation): Promise<number> {
  const { uplink, progress, ledger } = (await askGateway(invocation, "status")) as GatewayStatus;
  const lanes = uplink?.lanes ?? null;
  const screen = () => `${uplinkRows({ uplink, progress, ledger }).join("\n")}\n`;
  say(invocation.json, { lanes, progress, ledger }, screen);
  return 0;
}

async function peek(invocation: Invocation, lane: string): Promise<number> {
  const most = numberOf(invocation, "count", { usual: 10, min: 1, max: 1000 });
  const query = new URLSearchParams({ lane, count: String(most) });
  const told = await askGateway(invocation, `queue/peek?${query}`);
  const { waiting } = told as { readonly waiting: readonly ShownWaiting[] };
  say(invocation.json, told, () => `${waiting.map(line).join("\n") || "nothing waits"}\n`);
  return 0;
}

async function hold(invocation: Invocation, lane: string): Promise<number> {
  const action = invocation.rest[0] ?? "";
  const told = await tellGateway(invocation, `queue/${action}`, { lane });
  const { paused } = told as { readonly paused: boolean };
  const text = paused ? "is paused: what comes is kept, nothing is sent" : "is sent again";
  say(invocation.json, told, () => `lane ${lane} ${text}\n`);
  return 0;
}

async function drop(invocation: Invocation, lane: string): Promise<number> {
  const most = numberOf(invocation, "count", { usual: 0, min: 1, max: 1e12 });
  if (!isGiven(invocation, "confirm")) return wouldDrop(invocation, lane, most);
  const told = await tellGateway(invocation, "queue/drop", {
    lane,
    ...(most > 0 && { count: most }),
    confirm: true,
  });
  const { dropped, firstSeq, lastSeq } = told as Given;
  const which = dropped === 0 ? "" : `, seq ${firstSeq} to ${lastSeq}; the cloud is told`;
  say(invocation.json, told, () => `lane ${lane}: ${count(dropped)} dropped${which}\n`);
  return 0;
}

async function wouldDrop(invocation: Invocation, lane: string, most: number): Promise<number> {
  const { ledger } = (await askGateway(invocation, "status")) as GatewayStatus;
  const queued = Object.hasOwn(ledger, lane) ? ledger[lane as keyof typeof ledger].queued : 0;
  const would = most === 0 ? queued : Math.min(most, queued);
  const text = `lane ${lane}: ${count(would)} messages would be gone for good; --confirm drops them\n`;
  say(invocation.json, { lane, wouldDrop: would }, () => text);
  return 1;
}

function line({ seq, wallMs, topic, remoteTopic, payload }: ShownWaiting): string {
  const to = remoteTopic === null || remoteTopic === topic ? "" : ` -> ${visible(remoteTopic)}`;
  const time = `${isoTime(wallMs).slice(0, 19).replace("T", " ")}Z`;
  return `${seq}  ${time}  ${paint("bold", visible(topic))}${to}  ${payloadText(payload)}`;
}
