import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startField } from "./field.ts";
import { fleetOf } from "./fleet.ts";
import { startReplay } from "./replay.ts";

const USAGE = `usage: firmware-sim --fleet FILE [--seed N] [--directory DIR] [--record RECORDING]
       firmware-sim --replay RECORDING [--wait SECONDS] [--directory DIR] [--transport pty|tcp] [--broker HOST:PORT]

Runs the sensors that FILE (JSON) describes until it is interrupted. Prints one JSON object when they run,
with the port of each, and one each ten seconds with what each has done. --record keeps every byte with its time.

--replay makes the ports of a recording, waits so long (10 s) for gateways to open them, and plays it to its end.`;

/** How often the counts are printed. */
const REPORT_MS = 10_000;
/** As long as a gateway may wait before it looks for a port again. */
const WAIT_SECONDS = 10;

const OPTIONS = {
  fleet: { type: "string" },
  seed: { type: "string" },
  directory: { type: "string" },
  record: { type: "string" },
  replay: { type: "string" },
  wait: { type: "string" },
  transport: { type: "string" },
  broker: { type: "string" },
  help: { type: "boolean" },
} as const;
type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  const { fleet, replay } = values;
  const isOne = (fleet === undefined) !== (replay === undefined);
  if (values.help === true || !isOne) {
    console.log(USAGE);
    return values.help === true ? 0 : 2;
  }
  if (replay !== undefined) await playBack(replay, values);
  else if (fleet !== undefined) await runFleet(fleet, values);
  return 0;
}

async function runFleet(fleet: string, values: Values): Promise<void> {
  const { directory, record } = values;
  const seed = numberOf("seed", values.seed) ?? Math.floor(Math.random() * 2 ** 31);
  const sensors = fleetOf(await readFile(fleet, "utf8"), fleet);
  const field = await startField({
    sensors,
    seed,
    ...(directory === undefined ? {} : { directory }),
    ...(record === undefined ? {} : { record }),
  });
  report({ running: field.sensors.map(({ name, kind, port }) => ({ name, kind, port })), seed });
  await untilInterrupted(() => report({ counts: field.counts() }));
  await field.stop();
  report({ stopped: field.counts(), seed });
}

async function playBack(path: string, values: Values): Promise<void> {
  const { directory, transport } = values;
  if (transport !== undefined && transport !== "pty" && transport !== "tcp") {
    throw new Error(`--transport ${transport} is neither pty nor tcp`);
  }
  const waitSeconds = numberOf("wait", values.wait) ?? WAIT_SECONDS;
  const broker = brokerOf(values.broker);
  const replay = await startReplay({
    path,
    ...(directory === undefined ? {} : { directory }),
    ...(transport === undefined ? {} : { transport }),
    ...(broker === null ? {} : { broker }),
  });
  const ports = replay.sensors.map(({ name, kind, baudRate, at }) => {
    return { name, kind, port: at, baudRate };
  });
  report({ replaying: ports, seed: replay.seed, beginsInSeconds: waitSeconds });
  const over = new AbortController();
  const { signal } = over;
  const stopping = untilInterrupted(() => report({ counts: replay.counts() }), signal);
  const played = sleep(Math.max(0, waitSeconds) * 1000, undefined, { signal })
    .catch(() => {})
    .then(() => (signal.aborted ? undefined : replay.play()));
  try {
    await Promise.race([played, stopping]);
  } finally {
    over.abort();
    await replay.stop();
  }
  await played;
  report({ replayed: replay.counts() });
}

function numberOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const number = Number(text);
  if (text !== "" && Number.isSafeInteger(number)) return number;
  throw new Error(`--${name} ${text} is not a whole number`);
}

function brokerOf(text: string | undefined): { host: string; port: number } | null {
  if (text === undefined) return null;
  const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === "") throw new Error(`--broker ${text} is not HOST:PORT`);
  return { host, port: Number(port) };
}

function untilInterrupted(tell: () => void, over?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const reporting = setInterval(tell, REPORT_MS);
    const end = () => {
      clearInterval(reporting);
      resolve();
    };
    process.once("SIGINT", end);
    process.once("SIGTERM", end);
    over?.addEventListener("abort", end, { once: true });
  });
}

function report(what: object): void {
  console.log(JSON.stringify(what));
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`firmware-sim: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
