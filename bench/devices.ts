/**
 * What serial lines cost: noise on each framer, boards of firmware-sim on real pseudo-terminals, a Modbus line at its rate.
 *
 *   npm run bench -- devices [--seconds 20] [--only noise|lines|modbus]
 *
 * The gateway's side of the lines is a process of its own, so that its share of the processor is not mixed with the simulator's. Ends
 * with what was to be reached, and whether it holds; with 1 when something does not. A round of the Modbus line is compared with what bytes and
 * silences take at its rate, before each request and each answer, and what the simulated slaves were late.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { readLines } from "./support/device-lines.ts";
import { hearNoise } from "./support/device-noise.ts";
import { figure, table } from "./support/figures.ts";
import { pollLine } from "./support/modbus-line.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, only: { type: "string" } },
});
const seconds = Number(values.seconds);
const targets = new Targets();
const isMeant = (name: string) => values.only === undefined || values.only === name;
console.log(`load ${figure(loadavg()[0] ?? 0)}`);

if (isMeant("noise")) {
  const rows = [["an hour of noise at 115,200 baud", "MB/s of one core", "grew, KiB"]];
  for (const { name, bytesPerSecond, grownBytes } of hearNoise()) {
    rows.push([name, figure(bytesPerSecond / 1e6), figure(grownBytes / 1024)]);
    targets.atLeast(`noise on ${name}`, bytesPerSecond / 1e6, 20, " MB/s");
    targets.atMost(`noise on ${name}, grown`, grownBytes / 1024, 1024, " KiB");
  }
  console.log(table(rows));
}

if (isMeant("lines")) {
  const rows = [["boards", "frames sent", "accepted", "refused", "of the rate", "CPU share"]];
  for (const [count, kind, baudRate] of [
    [1, "vibration", 115_200],
    [16, "vibration", 9600],
  ] as const) {
    const read = await readLines(count, kind, baudRate, seconds);
    const name = `${count} ${kind} at ${baudRate} baud, saturated`;
    const { sent, accepted, refused } = read;
    const percents = [`${figure(100 * read.rateShare)} %`, `${figure(100 * read.cpuShare)} %`];
    rows.push([name, ...[sent, accepted, refused].map(String), ...percents]);
    targets.atMost(`${name}: frames lost`, sent - accepted, 0);
  }
  console.log(table(rows));
}

if (isMeant("modbus")) {
  const rows = [
    [
      "Modbus RTU, 200 registers of 10 slaves",
      "requests",
      "ms a round",
      "permitted",
      "slaves late",
      "more",
    ],
  ];
  for (const baudRate of [9600, 19_200]) {
    const { requests, cycleMs, permittedMs, slavesLateMs } = await pollLine(baudRate, seconds);
    const more = cycleMs / (permittedMs + slavesLateMs) - 1;
    const times = [cycleMs, permittedMs, slavesLateMs].map(figure);
    rows.push([`${baudRate} baud`, String(requests), ...times, `${figure(100 * more)} %`]);
    targets.atMost(`Modbus at ${baudRate} baud, beyond what is permitted`, 100 * more, 10, " %");
  }
  console.log(table(rows));
}

targets.print();
