/** Run by scripts/powercut.mjs, which says what the options are and brings what is needed. */
import { parseArgs } from "node:util";
import type { Outcome } from "./check-cut.ts";
import { DEFAULTS, type PowercutOptions, powercut } from "./powercut.ts";
import { missingForPowercuts } from "./requirements.ts";
import { line, table, wrongWith, wrongWithLiar } from "./table.ts";

/** Exit code of a run that could not take place. */
const SKIPPED = 77;
/** Records that a lying disk keeps at most: seconds of a busy gateway. */
const LIAR_CACHE = 1000;

const { values } = parseArgs({
  options: {
    cuts: { type: "string" },
    seed: { type: "string" },
    size: { type: "string" },
    broker: { type: "string" },
    durability: { type: "string" },
    liar: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    verbose: { type: "boolean", short: "v", default: false },
  },
});
const options: PowercutOptions = {
  ...DEFAULTS,
  broker: oneOf("broker", ["fieldgate", "mosquitto", "mosquitto-autosave"], DEFAULTS.broker),
  durability: oneOf("durability", ["local", "fast"], DEFAULTS.durability),
  cuts: whole("cuts", DEFAULTS.cuts),
  seed: whole("seed", Math.floor(Math.random() * 2 ** 31)),
  messages: whole("size", DEFAULTS.messages),
  liarCache: values.liar ? LIAR_CACHE : 0,
  keep: values.keep,
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const missing = missingForPowercuts();
if (missing === null) {
  process.exitCode = await run();
} else {
  console.log(`skipped: ${missing}`);
  process.exitCode = SKIPPED;
}

async function run(): Promise<number> {
  const wrongOf = options.liarCache > 0 ? wrongWithLiar : wrongWith;
  const outcomes: Outcome[] = [];
  let wrongCount = 0;
  const began = performance.now();
  await powercut(options, {
    said: (text) => console.log(text),
    cut(outcome) {
      outcomes.push(outcome);
      const wrong = wrongOf(outcome);
      if (wrong.length > 0) wrongCount++;
      if (values.verbose || wrong.length > 0) console.log(line(outcome, wrong));
    },
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(`\n${table(outcomes)}\n`);
  console.log(
    `${options.broker}: ${outcomes.length} cuts in ${seconds} s, ${wrongCount} not survived; --seed ${options.seed}`,
  );
  return wrongCount === 0 ? 0 : 1;
}

function whole(name: "cuts" | "seed" | "size", otherwise: number): number {
  const text = values[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} ${text}: a whole number`);
  return value;
}

function oneOf<T extends string>(
  name: "broker" | "durability",
  choices: readonly T[],
  otherwise: T,
): T {
  const text = values[name];
  if (text === undefined) return otherwise;
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw new Error(`--${name} ${text}: one of ${choices.join(", ")}`);
  return choice;
}
