import { rtuFrame } from "../../firmware-sim/encode/modbus.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import type { Port } from "../../src/devices/port.ts";
import { deviceTools } from "../../test/devices/device-tools.ts";

const SLAVES = 10;
const REGISTERS = 20;
const REQUEST_BYTES = 8;
const ANSWER_BYTES = 5 + 2 * REGISTERS;
/** Start, eight bits, stop. */
const BITS = 10;
/** The standard's silence before a frame, in characters. */
const SILENCE_CHARACTERS = 3.5;

export interface LinePolled {
  readonly requests: number;
  /** What reading all slaves once took. */
  readonly cycleMs: number;
  /** What the bytes and the silences before them take, and nothing else. */
  readonly permittedMs: number;
  /** How late the simulated slaves were in a round, because timers and this machine are: not the master's doing. */
  readonly slavesLateMs: number;
}

/** Asks ten slaves for twenty registers each, as fast as it goes, over a line at a true rate. */
export async function pollLine(baudRate: number, seconds: number): Promise<LinePolled> {
  const characterMs = (BITS * 1000) / baudRate;
  const fields = Array.from({ length: REGISTERS }, (_, i) => `{ field: r${i}, register: ${i} }`);
  const slaves = Array.from(
    { length: SLAVES },
    (_, i) => `{ name: s${i + 1}, unit: ${i + 1}, intervalMs: 10, fields: [${fields.join(", ")}] }`,
  );
  const yaml = `devices: [{ name: bus, port: /dev/none, baudRate: ${baudRate}, topic: "m/{slave}", modbus: { slaves: [${slaves.join(", ")}] } }]`;
  const [config] = parseConfig(yaml, "bench").devices;
  if (config === undefined) throw new Error("no device");
  let lateMs = 0;
  const made = deviceFor(config, {
    ...deviceTools(),
    port: line(characterMs, (ms) => {
      lateMs += ms;
    }),
  });
  await made.start(new AbortController().signal);
  const heard = () => made.status().slaves?.reduce((sum, slave) => sum + slave.answers, 0) ?? 0;
  await systemClock.sleep(1000);
  const before = heard();
  lateMs = 0;
  const beganMs = performance.now();
  await systemClock.sleep(1000 * seconds);
  const requests = heard() - before;
  const slavesLateMs = (lateMs / requests) * SLAVES;
  const cycleMs = ((performance.now() - beganMs) / requests) * SLAVES;
  await made.stop();
  const characters = REQUEST_BYTES + ANSWER_BYTES + 2 * SILENCE_CHARACTERS;
  const permittedMs = SLAVES * characters * characterMs;
  return { requests, cycleMs, permittedMs, slavesLateMs };
}

/** Slaves that answer as the standard allows at the earliest: a silence after the request, then at the rate of the line. */
function line(characterMs: number, late: (ms: number) => void): Port {
  return {
    async open(listener) {
      return {
        pause() {},
        resume() {},
        close: async () => {},
        async write(request) {
          const characters = request.length + SILENCE_CHARACTERS + ANSWER_BYTES;
          const dueMs = performance.now() + characters * characterMs;
          const pdu = new Uint8Array(2 + 2 * REGISTERS);
          pdu.set([request[1] ?? 0, 2 * REGISTERS]);
          const answer = rtuFrame(request[0] ?? 0, pdu);
          void systemClock.sleepExactly(dueMs - performance.now()).then(() => {
            late(performance.now() - dueMs);
            listener.data(answer);
          });
        },
      };
    },
  };
}
