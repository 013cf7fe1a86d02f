import {
  crc16Modbus,
  type Meter,
  meterAnswer,
  rtuFrame,
} from "../../firmware-sim/encode/modbus.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { DeviceConfig, ModbusConfig, ModbusFieldConfig } from "../../src/config/schema.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import type { OpenPort, Port, PortListener } from "../../src/devices/port.ts";
import { portError } from "../../src/devices/port.ts";

/** What a gateway reads of an energy meter of firmware-sim; docs/devices.md has the same. */
const METER_FIELDS = `
      - { field: voltage, table: input, register: 0, scale: 0.1, unit: V }
      - { field: current, table: input, register: 1, scale: 0.01, unit: A }
      - { field: power, table: input, register: 2, type: int32, unit: W }
      - { field: frequency, table: input, register: 4, type: float32, unit: Hz }
      - { field: energy, table: input, register: 6, type: uint32, wordOrder: little, unit: Wh }
      - { field: state, table: input, register: 8, enum: { "0": idle, "1": load, "2": feed-in } }
      - { field: n, table: input, register: 9, type: uint32, wordOrder: little }
`;

/** A device on a Modbus line, from YAML as a user writes it: keys of the device, of `modbus`, and its slaves. */
export function modbusDevice(
  port: string,
  slaves: string,
  modbus = "",
  device = "",
): DeviceConfig & { readonly modbus: ModbusConfig } {
  const text = `
devices:
- name: bus
  port: ${port}
  topic: "m/{slave}"
  ${device}
  modbus:
    ${modbus === "" ? "framing: rtu" : modbus}
    slaves:
${slaves}`;
  const [config] = parseConfig(text, "test").devices;
  if (config?.modbus === undefined) throw new Error("no device");
  return { ...config, modbus: config.modbus };
}

/** A slave with all fields of an energy meter. */
export function meterSlave(unit: number, keys = ""): string {
  const fields = METER_FIELDS.split("\n").filter((line) => line.trim() !== "");
  const more = keys === "" ? "" : `      ${keys}\n`;
  return `    - name: m${unit}\n      unit: ${unit}\n${more}      fields:\n${fields.join("\n")}\n`;
}

function meter(): Meter & { voltage: number } {
  const flow = { voltage: 231.4, current: 5.25, power: -1207, frequency: 49.98, energy: 1_234_567 };
  return { ...flow, state: 2, n: 1, limit: 16, relay: false };
}

export function field(keys: Partial<ModbusFieldConfig>): ModbusFieldConfig {
  return {
    field: "x",
    table: "holding",
    register: 0,
    type: "uint16",
    wordOrder: "big",
    byteOrder: "big",
    publish: "always",
    ...keys,
  };
}

/** A line in virtual time: meters by address, each answering after its delay; null: it stays silent. */
export class FakeBus implements Port {
  readonly meters = new Map<number, Meter & { voltage: number }>();
  readonly delaysMs = new Map<number, number | null>();
  /** `unit@ms` of each request, in order. */
  readonly asked: string[] = [];
  readonly written: Uint8Array[] = [];
  /** Requests on the wire at once, at most. */
  atOnceMax = 0;
  listener: PortListener | null = null;
  change: (answer: Uint8Array) => Uint8Array = (answer) => answer;
  readonly #clock: Clock;
  #atOnce = 0;

  constructor(clock: Clock, units: readonly number[]) {
    this.#clock = clock;
    for (const unit of units) this.meters.set(unit, meter());
  }

  /** It cannot be opened. */
  failing = false;
  /** It takes no bytes. */
  heldUp = false;

  async open(listener: PortListener): Promise<OpenPort> {
    if (this.failing) throw portError("no-such-port", "/dev/fake");
    this.listener = listener;
    return {
      pause() {},
      resume() {},
      write: async (bytes) => {
        if (this.heldUp) await new Promise(() => {});
        this.#take(bytes);
      },
      close: async () => {
        this.listener = null;
      },
    };
  }

  lose(): void {
    this.listener?.lost(portError("unplugged", "/dev/fake"));
  }

  #take(bytes: Uint8Array): void {
    const unit = bytes[0] ?? 0;
    const content = bytes.subarray(0, -2);
    const crc = (bytes.at(-2) ?? 0) | ((bytes.at(-1) ?? 0) << 8);
    if (crc16Modbus(content) !== crc) throw new Error("a request with a wrong check value");
    this.asked.push(`${unit}@${Math.round(this.#clock.monotonicMs())}`);
    this.written.push(bytes);
    const found = this.meters.get(unit);
    const delayMs = this.delaysMs.get(unit) ?? (this.delaysMs.has(unit) ? null : 5);
    if (found === undefined || delayMs === null) return;
    const answer = this.change(rtuFrame(unit, meterAnswer(found, content.subarray(1))));
    this.#atOnce += 1;
    this.atOnceMax = Math.max(this.atOnceMax, this.#atOnce);
    void this.#clock.sleep(delayMs).then(() => {
      this.#atOnce -= 1;
      this.listener?.data(answer);
    });
  }
}
