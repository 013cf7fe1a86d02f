import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type Field, startField } from "./field.ts";
import { fleetOf } from "./fleet.ts";

const USAGE = `usage: firmware-sim --fleet FILE [--seed N] [--directory DIR]

Runs the sensors that FILE (JSON) describes until it is interrupted. Prints one JSON object when they run,
with the port of each, and one each ten seconds with what each has done.`;

/** How often the counts are printed. */
const REPORT_MS = 10_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      fleet: { type: "string" },
      seed: { type: "string" },
      directory: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true || values.fleet === undefined) {
    console.log(USAGE);
    return values.help === true ? 0 : 2;
  }
  const seed =
    values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed ${values.seed} is not a number`);
  const sensors = fleetOf(await readFile(values.fleet, "utf8"), values.fleet);
  const { directory } = values;
  const field = await startField({
    sensors,
    seed,
    ...(directory === undefined ? {} : { directory }),
  });
  report({ running: field.sensors.map(({ name, kind, port }) => ({ name, kind, port })), seed });
  await untilInterrupted(field);
  await field.stop();
  report({ stopped: field.counts(), seed });
  return 0;
}

function untilInterrupted(field: Field): Promise<void> {
  return new Promise((resolve) => {
    const reporting = setInterval(() => report({ counts: field.counts() }), REPORT_MS);
    const end = () => {
      clearInterval(reporting);
      resolve();
    };
    process.once("SIGINT", end);
    process.once("SIGTERM", end);
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
