import type { Device } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { boardDevice } from "../../test/devices/boards-support.ts";
import { deviceTools } from "../../test/devices/device-tools.ts";

export interface ReaderReport {
  readonly open: number;
  readonly bytes: number;
  readonly accepted: number;
  readonly refused: number;
  readonly cpuMs: number;
}

interface Question {
  readonly open?: readonly {
    readonly name: string;
    readonly port: string;
    readonly kind: string;
    readonly baudRate: number;
  }[];
}

/** The gateway's side of serial lines, in a process of its own: opens what it is told, and says what it has read. */
const devices: Device[] = [];
process.on("message", async ({ open = [] }: Question) => {
  for (const { name, port, kind, baudRate } of open) {
    const made = deviceFor(boardDevice(kind, name, port, baudRate), {
      ...deviceTools(),
    });
    devices.push(made);
    await made.start(new AbortController().signal);
  }
  process.send?.(report());
});

function report(): ReaderReport {
  const statuses = devices.map((each) => each.status());
  const sum = (of: (status: (typeof statuses)[number]) => number) =>
    statuses.reduce((total, status) => total + of(status), 0);
  const { user, system } = process.cpuUsage();
  return {
    open: statuses.filter(({ state }) => state === "open").length,
    bytes: sum(({ counters }) => counters.bytes),
    accepted: sum(({ counters }) => counters.accepted),
    refused: sum(({ counters }) => Object.values(counters.refused).reduce((a, b) => a + b, 0)),
    cpuMs: (user + system) / 1000,
  };
}
