import { crc16Modbus, type Meter, mbapFrame, meterAnswer, rtuFrame } from "./encode/modbus.ts";
import { type Faults, NO_FAULTS, onTheCable } from "./faults.ts";
import type { Plug } from "./plug.ts";
import type { Random } from "./random.ts";
import {
  type MeterSpec,
  NO_COUNTS,
  type Observed,
  type Sensor,
  type SensorCounts,
} from "./sensor.ts";
import { Uart } from "./uart.ts";

/** While bytes leave, the UART is run this often. */
const PACE_MS = 1;
const RECEIVED_BYTES_MAX = 512;

/**
 * Energy meters on one line: Modbus slaves, each with its own address. A request is over when the line has been silent for
 * 3.5 characters after its last byte has arrived at the line's rate; the answer leaves at that rate. Over Modbus TCP a
 * request is over with its length, and there is no rate.
 */
export class MeterBus implements Sensor {
  readonly name: string;
  readonly kind = "energy-meter";
  readonly #spec: MeterSpec;
  readonly #plug: Plug;
  readonly #random: Random;
  readonly #observe: (seen: Observed) => void;
  readonly #faults: Faults;
  readonly #byteMs: number;
  readonly #uart: Uart;
  readonly #meters = new Map<number, Meter & { n: number }>();
  #received: Uint8Array = new Uint8Array(0);
  #arrivedAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #sending: NodeJS.Timeout | null = null;
  #powered = false;
  #counts = { ...NO_COUNTS };

  constructor(spec: MeterSpec, plug: Plug, random: Random, observe: (seen: Observed) => void) {
    this.name = spec.name;
    this.#spec = spec;
    this.#plug = plug;
    this.#random = random;
    this.#observe = observe;
    this.#faults = { ...NO_FAULTS, ...spec.faults };
    const baudRate = spec.baudRate ?? 9600;
    this.#byteMs = 10_000 / baudRate;
    this.#uart = new Uart(baudRate, performance.now(), (bytes) => plug.write(bytes));
    for (let i = 0; i < (spec.units ?? 1); i++) {
      this.#meters.set((spec.station ?? 1) + i, newMeter(random));
    }
    plug.hear((bytes) => this.#hear(bytes));
  }

  get port(): string {
    return this.#plug.port;
  }

  /** What the meter with that address holds; throws when there is none. */
  meter(unit: number): Meter {
    const found = this.#meters.get(unit);
    if (found === undefined) throw new Error(`no meter has the address ${unit}`);
    return found;
  }

  async start(): Promise<void> {
    await this.#plug.plugIn();
    this.#powered = this.#spec.powered ?? true;
  }

  async stop(): Promise<void> {
    this.power(false);
    await this.#plug.pull();
  }

  power(on: boolean): void {
    this.#powered = on;
    if (on) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#sending !== null) clearTimeout(this.#sending);
    this.#timer = null;
    this.#sending = null;
    this.#received = new Uint8Array(0);
    this.#uart.cut();
  }

  async pull(): Promise<void> {
    await this.#plug.pull();
  }

  async plugIn(): Promise<void> {
    await this.#plug.plugIn();
    this.#counts.reconnects += 1;
  }

  counts(): SensorCounts {
    const { sentBytes: bytes, lostBytes } = this.#uart;
    return { ...this.#counts, bytes, lostBytes };
  }

  #hear(bytes: Uint8Array): void {
    if (!this.#powered) return;
    this.#received = Buffer.concat([this.#received, bytes]).subarray(-RECEIVED_BYTES_MAX);
    if (this.#spec.transport === "modbus-tcp") {
      this.#takeTcp();
      return;
    }
    const now = performance.now();
    this.#arrivedAtMs = Math.max(now, this.#arrivedAtMs) + bytes.length * this.#byteMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const silenceMs =
      this.#spec.baudRate !== undefined && this.#spec.baudRate > 19_200 ? 1.75 : 3.5 * this.#byteMs;
    this.#timer = setTimeout(() => this.#takeRtu(), this.#arrivedAtMs + silenceMs - now);
  }

  #takeRtu(): void {
    const frame = this.#received;
    this.#timer = null;
    this.#received = new Uint8Array(0);
    const content = frame.subarray(0, -2);
    const crc = (frame[frame.length - 2] ?? 0) | ((frame[frame.length - 1] ?? 0) << 8);
    if (frame.length < 4 || crc16Modbus(content) !== crc) return;
    const unit = content[0] ?? 0;
    this.#answer(unit, content.subarray(1), (pdu) => rtuFrame(unit, pdu));
  }

  #takeTcp(): void {
    for (;;) {
      const { length } = this.#received;
      const bytes = 6 + (((this.#received[4] ?? 0) << 8) | (this.#received[5] ?? 0));
      if (length < 8 || length < bytes) return;
      const frame = this.#received.subarray(0, bytes);
      this.#received = this.#received.subarray(bytes);
      const transaction = ((frame[0] ?? 0) << 8) | (frame[1] ?? 0);
      const unit = frame[6] ?? 0;
      this.#answer(unit, frame.subarray(7), (pdu) => mbapFrame(transaction, unit, pdu));
    }
  }

  #answer(unit: number, request: Uint8Array, framed: (pdu: Uint8Array) => Uint8Array): void {
    const meter = this.#meters.get(unit);
    if (meter === undefined || (this.#spec.silent ?? []).includes(unit)) return;
    sample(meter, this.#random);
    const sent = onTheCable(framed(meterAnswer(meter, request)), this.#faults, this.#random);
    this.#counts.sampled += 1;
    this.#counts.sent += 1;
    this.#counts.damaged += sent.damaged ? 1 : 0;
    this.#counts.noisy += sent.noisy ? 1 : 0;
    this.#observe({ sensor: this.name, n: this.#counts.sampled, damaged: sent.damaged });
    if (this.#spec.transport === "modbus-tcp") this.#plug.write(sent.bytes);
    else {
      this.#uart.run(performance.now());
      this.#uart.send(sent.bytes);
      this.#pace();
    }
  }

  #pace(): void {
    this.#uart.run(performance.now());
    if (this.#sending !== null) clearTimeout(this.#sending);
    this.#sending = this.#uart.isIdle() ? null : setTimeout(() => this.#pace(), PACE_MS);
  }
}

function newMeter(random: Random): Meter & { n: number } {
  const energy = Math.floor(random() * 1_000_000);
  const flow = { voltage: 230, current: 5, power: 1150, frequency: 50, energy, state: 1 };
  return { ...flow, n: 0, limit: 16, relay: false };
}

function sample(meter: Meter, random: Random): void {
  const mutable = meter as { -readonly [key in keyof Meter]: Meter[key] };
  const near = (value: number, min: number, max: number, step: number) =>
    Math.min(max, Math.max(min, value + (random() * 2 - 1) * step));
  mutable.n += 1;
  mutable.voltage = near(meter.voltage, 207, 253, 0.5);
  mutable.current = near(meter.current, 0, 32, 0.5);
  mutable.power = near(meter.power, -5000, 7000, 200);
  mutable.frequency = near(meter.frequency, 49.8, 50.2, 0.01);
  mutable.energy += Math.abs(Math.round(meter.power / 100));
  mutable.state = meter.power < 0 ? 2 : meter.power < 10 ? 0 : 1;
}
