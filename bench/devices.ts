/**
 * What serial lines cost: noise on each framer, boards of firmware-sim on real pseudo-terminals, a Modbus line at its rate.
 *
 *   npm run bench -- devices [--seconds 20] [--only noise|lines|modbus]
 *
 * The gateway's side of the lines is a process of its own, so that its share of the processor is not mixed with the simulator's. Ends
 * with 1 when a frame was lost, a framer is slower than 20 MB a second of processor time or keeps memory, or the Modbus line waits more than 10 %.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { readLines } from "./support/device-lines.ts";
import { hearNoise } from "./support/device-noise.ts";
import { figure, table } from "./support/figures.ts";
import { pollLine } from "./support/modbus-line.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, only: { type: "string" } },
});
const seconds = Number(values.seconds);
const failures: string[] = [];
const isMeant = (name: string) => values.only === undefined || values.only === name;
console.log(`load ${figure(loadavg()[0] ?? 0)}`);

if (isMeant("noise")) {
  const rows = [["an hour of noise at 115,200 baud", "MB/s of one core", "grew, KiB"]];
  for (const { name, bytesPerSecond, grownBytes } of hearNoise()) {
    rows.push([name, figure(bytesPerSecond / 1e6), figure(grownBytes / 1024)]);
    if (bytesPerSecond < 20e6) failures.push(`${name} is slower than 20 MB/s`);
    if (grownBytes > 2 ** 20) failures.push(`${name} keeps memory`);
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
    if (accepted !== sent) failures.push(`${name}: ${sent - accepted} frames lost`);
  }
  console.log(table(rows));
}

if (isMeant("modbus")) {
  for (const baudRate of [9600, 19_200]) {
    const { requests, cycleMs, permittedMs } = await pollLine(baudRate, seconds);
    const more = cycleMs / permittedMs - 1;
    console.log(
      `Modbus, 200 registers of 10 slaves at ${baudRate} baud: ${requests} requests, ${figure(cycleMs)} ms a round, ${figure(100 * more)} % more than the ${figure(permittedMs)} ms that the rate permits`,
    );
    if (more > 0.1) failures.push(`Modbus at ${baudRate} baud waits ${figure(100 * more)} %`);
  }
}

for (const failure of failures) console.log(`NOT REACHED: ${failure}`);
if (failures.length > 0) process.exitCode = 1;
