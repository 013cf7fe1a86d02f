/** Run by scripts/soak.mjs, which says what the options are and brings what is needed. */
import { parseArgs } from "node:util";
import { DEFAULTS, type SoakSample, soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: `${DEFAULTS.seconds / 60}` },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    rate: { type: "string", default: `${DEFAULTS.perSecond}` },
    kills: { type: "boolean", default: false },
  },
});
const options = {
  ...DEFAULTS,
  seconds: positive("minutes") * 60,
  seed: positive("seed"),
  perSecond: positive("rate"),
  kills: values.kills,
};
const COLUMNS: readonly (keyof SoakSample)[] = [
  "seconds",
  "acknowledged",
  "inCloud",
  "atSubscriber",
  "queued",
  "storeMiB",
  "residentMiB",
  "descriptors",
];

console.log(COLUMNS.map((name) => name.padStart(13)).join(""));
const { faults, acknowledged, done } = await soak(options, (sample) =>
  console.log(COLUMNS.map((name) => sample[name].toFixed(0).padStart(13)).join("")),
);
console.log([...done].map(([what, times]) => `${what}: ${times}`).join(", "));
for (const fault of faults) console.log(`WRONG: ${fault}`);
console.log(`${acknowledged} acknowledged, ${faults.length} faults; --seed ${options.seed}`);
process.exitCode = faults.length === 0 ? 0 : 1;

function positive(name: "minutes" | "seed" | "rate"): number {
  const value = Number(values[name]);
  if (!(value > 0)) throw new Error(`--${name} ${values[name]}: a number above 0`);
  return value;
}
