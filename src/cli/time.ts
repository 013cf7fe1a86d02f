import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import { systemBootMs, systemClock } from "../base/system-clock.ts";
import { isoTime, wallMsOf } from "../base/wall-time.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { hostTimeSources } from "../health/host-time-sources.ts";
import { type Command, type Invocation, isGiven } from "./command.ts";
import { askGateway } from "./socket.ts";
import { paint, say } from "./terminal.ts";
import { count, row } from "./words.ts";

export const command: Command = {
  actions: ["status", "set"],
  options: { "dry-run": { type: "boolean" }, force: { type: "boolean" } },
  help: `fieldgate time [status] [--socket PATH] [--json]           what the clock is worth, to the machine and to the gateway
fieldgate time set TIME [--dry-run] [--force]              set it, where no time server does

TIME is in UTC: 2026-11-22T08:30 or 2026-11-22T08:30:15Z. The gateway notices by itself that the clock was set, and dates
anew what waits. While a time server corrects the clock, set is refused: it would be set back at once.

  --dry-run   say what would be done
  --force     set it although a time server corrects it

Examples:
  fieldgate time
  sudo fieldgate time set 2026-11-22T08:30

Exit codes: 0 synchronised, or set; 1 it runs free, or was never set; 2 not set; 3 nobody can tell
`,

  async run(invocation) {
    const [action = "status", time, ...more] = invocation.rest;
    if (action === "status" && time === undefined) return status(invocation);
    if (action !== "set" || time === undefined || more.length > 0) {
      throw new FieldgateError("ERR_USAGE", "time knows status, and set TIME");
    }
    return set(invocation, time);
  },
};

async function status(invocation: Invocation): Promise<number> {
  const sources = hostTimeSources(systemBootMs, process.env);
  const [synchronised, battery] = [await sources.synchronised(), await sources.hasBatteryClock()];
  const gateway = await askGateway(invocation, "status").then(
    (told) => (told as GatewayStatus).time,
    () => null,
  );
  const wallMs = systemClock.wallMs();
  const told = { time: isoTime(wallMs), synchronised, battery, gateway };
  say(invocation.json, told, () => screen(wallMs, synchronised, battery, gateway));
  return synchronised === null ? 3 : synchronised ? 0 : 1;
}

function screen(
  wallMs: number,
  synchronised: boolean | null,
  battery: boolean,
  gateway: GatewayStatus["time"] | null,
): string {
  const by = { true: "a time server corrects it", false: "nobody corrects it: it runs free" };
  const ours = gateway === null ? "no gateway answers" : gatewayLine(gateway);
  const rows = [
    row("time", `${isoTime(wallMs).slice(0, 19).replace("T", " ")} UTC`),
    row("synchronised", synchronised === null ? "nobody can tell" : by[`${synchronised}`]),
    row("battery clock", battery ? "there is one" : "none: a power cut takes the time"),
    row("gateway", ours),
  ];
  return `${rows.join("\n")}\n`;
}

function gatewayLine({ quality, steps, lastStepMs }: GatewayStatus["time"]): string {
  if (lastStepMs === null) return quality;
  const by = `${lastStepMs < 0 ? "-" : "+"}${duration(Math.abs(lastStepMs))}`;
  return `${quality}; the clock was set ${count(steps)} times since it started, last by ${by}`;
}

async function set(invocation: Invocation, text: string): Promise<number> {
  const isUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z?$/.test(text);
  const wallMs = isUtc ? wallMsOf(`${text.replace("Z", "")}Z`) : Number.NaN;
  if (!Number.isFinite(wallMs)) {
    const message = `${JSON.stringify(text)} is no time: write it as 2026-11-22T08:30, in UTC`;
    throw new FieldgateError("ERR_USAGE", message);
  }
  const sources = hostTimeSources(systemBootMs, process.env);
  if ((await sources.synchronised()) === true && !isGiven(invocation, "force")) {
    const message = "a time server corrects the clock: it would be set back at once (--force)";
    throw new FieldgateError("ERR_CLOCK", message);
  }
  const shown = `${isoTime(wallMs).slice(0, 19).replace("T", " ")} UTC`;
  const byMs = Math.round(wallMs - systemClock.wallMs());
  const way = `${byMs < 0 ? "back" : "forward"} by ${duration(Math.abs(byMs))}`;
  const isDry = isGiven(invocation, "dry-run");
  if (!isDry) await setClock(wallMs);
  const told = { time: isoTime(wallMs), byMs, set: !isDry };
  say(invocation.json, told, () =>
    isDry ? `would set the clock to ${shown}, ${way}\n` : `${paint("bold", shown)}: set ${way}\n`,
  );
  return 0;
}

/** date(1) sets the clock, hwclock(8) the one with the battery, where there is one. */
async function setClock(wallMs: number): Promise<void> {
  const run = promisify(execFile);
  try {
    await run("date", ["-u", "-s", `@${Math.round(wallMs / 1000)}`]);
  } catch (cause) {
    const message = "the clock was not set: only root may (sudo)";
    throw new FieldgateError("ERR_CLOCK", message, { cause });
  }
  await run("hwclock", ["--systohc", "--utc"]).catch(() => {}); // there is none, or it is set with the next shutdown
}
