import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import { isoTime } from "../base/wall-time.ts";
import type { Skipped } from "../control/feed.ts";
import { SYSTEM_SERIAL_PLACES } from "../devices/file-adapters.ts";
import type { Traced } from "../gateway-devices.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { type Command, type Invocation, numberOf } from "./command.ts";
import { listPorts, type PortSeen } from "./file-ports.ts";
import { hexRows } from "./messages.ts";
import { askGateway, followGateway } from "./socket.ts";
import { paint, say } from "./terminal.ts";

export const command: Command = {
  actions: ["list", "identify", "trace", "probe"],
  options: { count: { type: "string" }, seconds: { type: "string" }, units: { type: "string" } },
  help: `fieldgate serial [list] [--json]                    the serial ports of this machine, and which device has which
fieldgate serial identify [--seconds N]             tells which port comes or goes when you plug or pull one
fieldgate serial trace DEVICE [--count N]           the bytes on the line of a device, in and out, as they come
fieldgate serial probe PORT [--units N]             tries rates and parities: who speaks there, which Modbus units answer

trace goes through the running gateway, which keeps the line. probe opens PORT itself and writes to it (a Modbus read of one
register to each unit): not a port that the gateway has.

  --seconds N   how long identify waits (60)
  --count N     end after N pieces
  --units N     probe asks the units 1 to N (5)

Examples:
  fieldgate serial
  fieldgate serial identify
  fieldgate serial trace boiler
  fieldgate serial probe /dev/serial/by-id/usb-FTDI_USB-RS485

Exit codes: 0 found or told; 1 nothing found or changed; 2 no such port or device, or it is busy; 3 no gateway answers
`,

  async run(invocation) {
    const [action = "list", word, ...more] = invocation.rest;
    if (more.length === 0 && word === undefined) {
      if (action === "list") return list(invocation);
      if (action === "identify") return identify(invocation);
    }
    if (more.length === 0 && word !== undefined) {
      if (action === "trace") return trace(invocation, word);
      if (action === "probe") {
        if (!word.includes("/")) throw new FieldgateError("ERR_USAGE", noPort(word));
        const { probe } = await import("./serial-probe.ts");
        return probe(invocation, word);
      }
    }
    throw new FieldgateError("ERR_USAGE", "serial knows list, identify, trace DEVICE, probe PORT");
  },
};

function noPort(word: string): string {
  return `probe wants a PORT, such as /dev/ttyUSB0, not ${word}; fieldgate serial shows which there are`;
}

async function list(invocation: Invocation): Promise<number> {
  const ports = await listPorts(SYSTEM_SERIAL_PLACES);
  const devices = await askGateway(invocation, "status").then(
    (told) => (told as GatewayStatus).devices,
    () => null,
  );
  say(invocation.json, { ports, devices }, () => {
    const seen = ports.length === 0 ? ["no serial port is on this machine"] : ports.map(portLine);
    const ours = (devices ?? []).map(({ name, port, state, reason }) => {
      return `device ${name}: ${port}, ${state}${reason === null ? "" : ` (${reason})`}`;
    });
    if (devices === null) ours.push("no gateway answers: which device has which is not known");
    return `${[...seen, ...ours].join("\n")}\n`;
  });
  return ports.length === 0 && (devices ?? []).length === 0 ? 1 : 0;
}

const LOOK_MS = 250;

async function identify(invocation: Invocation): Promise<number> {
  const seconds = numberOf(invocation, "seconds", { usual: 60, min: 1, max: 3600 });
  const before = await listPorts(SYSTEM_SERIAL_PLACES);
  process.stderr.write(`${before.length} ports seen: plug one in, or pull one\n`);
  const deadlineMs = systemClock.monotonicMs() + 1000 * seconds;
  while (systemClock.monotonicMs() < deadlineMs) {
    await systemClock.sleep(LOOK_MS);
    const now = await listPorts(SYSTEM_SERIAL_PLACES);
    const came = now.filter((port) => !before.some(({ path }) => path === port.path));
    const went = before.filter((port) => !now.some(({ path }) => path === port.path));
    if (came.length + went.length === 0) continue;
    say(invocation.json, { came, went }, () =>
      [
        ...came.map((port) => `${paint("green", "+")} ${portLine(port)}\n`),
        ...went.map((port) => `${paint("red", "-")} ${portLine(port)}\n`),
      ].join(""),
    );
    return 0;
  }
  say(invocation.json, { came: [], went: [] }, () => "nothing came and nothing went\n");
  return 1;
}

async function trace(invocation: Invocation, device: string): Promise<number> {
  let left = numberOf(invocation, "count", { usual: Infinity, min: 1, max: 1e9 });
  process.once("SIGINT", () => process.exit(0));
  const opened = () => process.stderr.write(`listening to ${device}; Ctrl-C ends\n`);
  const query = new URLSearchParams({ device });
  for await (const value of followGateway(invocation, `serial/trace?${query}`, opened)) {
    const told = value as Traced | Skipped;
    say(invocation.json, told, () => traceLine(told));
    if (!("skipped" in told) && --left === 0) return 0;
  }
  return 1;
}

function traceLine(told: Traced | Skipped): string {
  if ("skipped" in told) return `… ${told.skipped} pieces left out: too many to show\n`;
  const bytes = Buffer.from(told.base64, "base64");
  const time = isoTime(told.wallMs).slice(11);
  const way = told.way === "in" ? "in " : "out";
  return `${time} ${paint("bold", way)} ${bytes.length} bytes\n${hexRows(bytes).join("\n")}\n`;
}

function portLine({ path, stable, twins, what }: PortSeen): string {
  const name = stable === null ? "" : `  name it ${stable}`;
  const shared = twins.length === 0 ? "" : `  by-id is also the name of ${twins.join(", ")}`;
  return `${path}${name}${what === "" ? "" : `  (${what})`}${paint("yellow", shared)}`;
}
