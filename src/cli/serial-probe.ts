import { systemClock } from "../base/system-clock.ts";
import { shownPayload } from "../control/shown-payload.ts";
import { Master } from "../devices/modbus/master.ts";
import { readRequest } from "../devices/modbus/pdu.ts";
import { rtuWire } from "../devices/modbus/rtu.ts";
import { serialPort } from "../devices/serial-port.ts";
import { type Invocation, numberOf } from "./command.ts";
import { payloadText } from "./messages.ts";
import { paint, say } from "./terminal.ts";

/** The usual rates first, as the makers of meters and drives deliver them. */
const RATES = [9600, 19_200, 38_400, 115_200, 57_600, 4800, 2400] as const;
const PARITIES = ["none", "even"] as const;
const LISTEN_MS = 300;
const ANSWER_MS_MAX = 200;
const HEARD_BYTES_MAX = 256;

/** What was found with one setting. */
interface Found {
  readonly baudRate: number;
  readonly parity: string;
  /** What came without being asked for. */
  readonly heard: ReturnType<typeof shownPayload> | null;
  /** Modbus units that answered, with a value or an exception. */
  readonly units: readonly number[];
}

/** Tries the settings one after the other, and stops at the first with which a Modbus unit answers. */
export async function probe(invocation: Invocation, path: string): Promise<number> {
  const unitsMax = numberOf(invocation, "units", { usual: 5, min: 1, max: 247 });
  const found: Found[] = [];
  for (const baudRate of RATES) {
    for (const parity of PARITIES) {
      if (!invocation.json) process.stderr.write(`${path}: ${baudRate} baud, parity ${parity}\n`);
      const one = await tried(path, baudRate, parity, unitsMax);
      if (one.heard !== null || one.units.length > 0) found.push(one);
      if (one.units.length > 0) return told(invocation, found);
    }
  }
  return told(invocation, found);
}

function told(invocation: Invocation, found: readonly Found[]): number {
  say(invocation.json, { found }, () =>
    found.length === 0
      ? "nobody speaks there, and no Modbus unit answers\n"
      : found.map(line).join(""),
  );
  return found.length === 0 ? 1 : 0;
}

function line({ baudRate, parity, heard, units }: Found): string {
  const setting = `${baudRate} baud, parity ${parity}`;
  const modbus = units.length === 0 ? "" : `Modbus RTU: unit ${units.join(", ")} answers\n`;
  const speaks = heard === null ? "" : `speaks by itself: ${payloadText(heard)}\n`;
  return `${paint("bold", setting)}: ${modbus}${speaks}`;
}

async function tried(
  path: string,
  baudRate: number,
  parity: (typeof PARITIES)[number],
  unitsMax: number,
): Promise<Found> {
  const clock = systemClock;
  const settings = { port: path, baudRate, parity, dataBits: 8 as const, stopBits: 1 as const };
  const gone = new AbortController();
  let heard = Buffer.alloc(0);
  let listening = true;
  const listener = {
    data(chunk: Uint8Array) {
      if (listening) heard = Buffer.concat([heard, chunk]).subarray(0, HEARD_BYTES_MAX);
      else master.hear(chunk);
    },
    lost: () => gone.abort(),
  };
  const port = await serialPort(settings, clock).open(listener, new AbortController().signal);
  const ends = {
    write: (bytes: Uint8Array) => port.write(bytes),
    giveUp: () => gone.abort(),
  };
  const master = new Master(rtuWire(settings), ends, clock);
  try {
    port.resume();
    await clock.sleep(LISTEN_MS);
    listening = false;
    const units: number[] = [];
    for (let unit = 1; unit <= unitsMax && !gone.signal.aborted; unit++) {
      await master.silence(gone.signal).catch(() => {});
      const request = readRequest("holding", 0, 1);
      const outcome = await master.exchange(unit, request, ANSWER_MS_MAX, gone.signal);
      if (outcome.is !== "failed") units.push(unit);
    }
    const shown = heard.length === 0 ? null : shownPayload(heard, HEARD_BYTES_MAX);
    return { baudRate, parity, heard: shown, units };
  } finally {
    await port.close();
  }
}
