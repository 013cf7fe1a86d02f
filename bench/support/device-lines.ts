import { fork } from "node:child_process";
import { once } from "node:events";
import { startField } from "../../firmware-sim/field.ts";
import type { SensorSpec } from "../../firmware-sim/sensor.ts";
import { until } from "../../test/support/until.ts";
import type { ReaderReport } from "./device-reader.ts";

export interface LinesRead {
  readonly sent: number;
  readonly accepted: number;
  readonly refused: number;
  /** Of what the lines can carry: below 1 the simulator had too little of the processor. */
  readonly rateShare: number;
  /** Of one core, of the process that reads. */
  readonly cpuShare: number;
}

/** Wire bytes of a vibration frame, about: COBS and delimiters. */
const FRAME_BYTES = 75;

/** Boards that say as much as their lines take, for about so long, read by a process of its own. */
export async function readLines(
  lines: number,
  kind: "vibration",
  baudRate: number,
  seconds: number,
): Promise<LinesRead> {
  const count = Math.ceil((seconds * baudRate) / 10 / FRAME_BYTES);
  const names = Array.from({ length: lines }, (_, i) => `board-${i + 1}`);
  const field = await startField({
    seed: 1,
    sensors: names.map(
      (name): SensorSpec => ({ kind, name, baudRate, intervalMs: 0, count, powered: false }),
    ),
  });
  const reader = fork(new URL("device-reader.ts", import.meta.url), {
    execArgv: ["--import", "tsx"],
  });
  const asked = async (question: object): Promise<ReaderReport> => {
    reader.send(question);
    const [report] = (await once(reader, "message")) as [ReaderReport];
    return report;
  };
  try {
    const ports = names.map((name) => ({ name, port: field.sensor(name).port, kind, baudRate }));
    await asked({ open: ports });
    await until("all ports open", async () => (await asked({})).open === lines, 60_000);
    const before = await asked({});
    const beganMs = performance.now();
    for (const name of names) field.sensor(name).power(true);
    const sentOf = () => Object.values(field.counts()).reduce((sum, each) => sum + each.intact, 0);
    await until("all have said it", () => sentOf() >= count * lines, (10 * seconds + 60) * 1000);
    const wallMs = performance.now() - beganMs;
    let last = await asked({});
    await until("all was read", async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const before = last.bytes;
      last = await asked({});
      return last.bytes === before;
    });
    const bytes = Object.values(field.counts()).reduce((sum, each) => sum + each.bytes, 0);
    return {
      sent: sentOf(),
      accepted: last.accepted,
      refused: last.refused,
      rateShare: bytes / ((lines * baudRate * wallMs) / 10_000),
      cpuShare: (last.cpuMs - before.cpuMs) / wallMs,
    };
  } finally {
    reader.kill();
    await field.stop();
  }
}
