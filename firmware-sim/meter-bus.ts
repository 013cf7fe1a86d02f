import { type Board, type BoardEvent, nextBoard } from "./board.ts";
import { Cord } from "./cord.ts";
import { crc16Modbus, type Meter, mbapFrame, meterAnswer, rtuFrame } from "./encode/modbus.ts";
import { Cable, type Damage, type Faults, NO_FAULTS, type Sent } from "./faults.ts";
import type { Plug } from "./plug.ts";
import type { Random } from "./random.ts";
import {
  countsOf,
  type MeterSpec,
  NO_COUNTS,
  type Observed,
  type Sensor,
  type SensorCounts,
} from "./sensor.ts";
import { paceOf } from "./serial-sensor.ts";
import { type Left, Uart } from "./uart.ts";

/** While bytes leave, the UART is run this often. */
const PACE_MS = 1;
const RECEIVED_BYTES_MAX = 512;
const UNPLUGGED: Damage = "unplugged";
const BROWN_OUT: Damage = "brown-out";

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
  readonly #cord: Cord;
  readonly #random: Random;
  readonly #observe: (seen: Observed) => void;
  readonly #faults: Faults;
  readonly #cable: Cable;
  readonly #byteMs: number;
  readonly #uart: Uart;
  readonly #meters = new Map<number, Meter & { n: number }>();
  #received: Uint8Array = new Uint8Array(0);
  #arrivedAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #sending: NodeJS.Timeout | null = null;
  #board: Board = { at: "off" };
  #counts = { ...NO_COUNTS };
  readonly #damages = new Map<Damage, number>();

  constructor(spec: MeterSpec, plug: Plug, random: Random, observe: (seen: Observed) => void) {
    this.name = spec.name;
    this.#spec = spec;
    this.#plug = plug;
    this.#cord = new Cord(plug);
    this.#random = random;
    this.#observe = observe;
    this.#faults = { ...NO_FAULTS, ...spec.faults };
    this.#cable = new Cable(this.#faults, random);
    const baudRate = (spec.baudRate ?? 9600) * paceOf(this.#faults, random);
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
    await this.#cord.start();
    if (this.#spec.powered ?? true) this.power(true);
  }

  async stop(): Promise<void> {
    this.power(false);
    if (this.#sending !== null) clearTimeout(this.#sending);
    await this.#cord.stop();
  }

  power(on: boolean): void {
    this.#step(on ? "power-on" : "power-off");
  }

  pull(): Promise<void> {
    return this.#cord.pull();
  }

  plugIn(): Promise<void> {
    return this.#cord.plugIn();
  }

  counts(): SensorCounts {
    const counts = { ...this.#counts, reconnects: this.#cord.replugged };
    return countsOf(counts, this.#uart, this.#damages);
  }

  #step(event: BoardEvent, failures = 0): void {
    const { bootMs = 200 } = this.#spec;
    const { watchdogMs } = this.#faults;
    // A meter speaks when it is asked: there is nothing that it does at an interval.
    const timing = { bootMs, intervalMs: Number.POSITIVE_INFINITY, watchdogMs, failures };
    const [board, action] = nextBoard(this.#board, event, performance.now(), timing);
    this.#board = board;
    if (action === "cut") this.#cut(event === "power-off");
  }

  #cut(isOff: boolean): void {
    this.#counts.resets += isOff ? 0 : 1;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#received = new Uint8Array(0);
    this.#uart.cut();
  }

  /** Whatever time has made of the board since it was looked at last. */
  #isRunning(): boolean {
    for (let before: Board | null = null; before !== this.#board; ) {
      before = this.#board;
      this.#step("tick");
    }
    return this.#board.at === "running";
  }

  #hear(bytes: Uint8Array): void {
    if (!this.#isRunning()) return;
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
    const frame = framed(meterAnswer(meter, request));
    const sent = this.#cable.carry(frame, performance.now());
    this.#counts.sampled += 1;
    this.#counts.sent += 1;
    this.#counts.noisy += sent.noisy ? 1 : 0;
    this.#send(this.#counts.sampled, frame, sent);
    if (this.#happens(this.#faults.hang)) this.#step("hang");
    if (this.#happens(this.#faults.disconnect)) this.#cord.fallOut(this.#faults.outageMs);
  }

  #send(n: number, frame: Uint8Array, sent: Sent): void {
    const left = ({ end }: Left) => {
      // A master knows what it waits for: a byte too many before or behind it does no harm.
      if (end === "taken" && Buffer.from(sent.bytes).includes(Buffer.from(frame))) {
        this.#counts.intact += 1;
        this.#observe({ sensor: this.name, n, is: "found" });
      }
      this.#end(n, sent.damage ?? { taken: null, untaken: UNPLUGGED, cut: BROWN_OUT }[end]);
    };
    if (this.#spec.transport === "modbus-tcp") {
      left({ end: this.#plug.write(sent.bytes) ? "taken" : "untaken" });
      return;
    }
    this.#uart.run(performance.now());
    const loops = this.#happens(this.#faults.rebootLoop);
    if (loops || this.#happens(this.#faults.brownOut)) {
      this.#step("brown-out", loops ? 2 + Math.floor(this.#random() * 5) : 0);
      this.#uart.send(sent.bytes.subarray(0, Math.floor(sent.bytes.length / 2)));
      this.#end(n, loops ? "reboot-loop" : BROWN_OUT);
    } else this.#uart.send(sent.bytes, left);
    this.#pace();
  }

  #end(n: number, damage: Damage | null): void {
    const damaged = damage !== null;
    this.#counts.damaged += damaged ? 1 : 0;
    if (damaged) this.#damages.set(damage, (this.#damages.get(damage) ?? 0) + 1);
    this.#observe({ sensor: this.name, n, is: damaged ? "lost" : "left" });
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
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
