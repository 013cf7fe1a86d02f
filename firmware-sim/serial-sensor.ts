import { type Board, nextBoard } from "./board.ts";
import { type Faults, NO_FAULTS, noise, onTheCable, type Sent } from "./faults.ts";
import { type Firmware, firmwareOf } from "./firmware.ts";
import type { Plug } from "./plug.ts";
import type { Random } from "./random.ts";
import {
  NO_COUNTS,
  type Observed,
  type Sensor,
  type SensorCounts,
  type SerialSpec,
} from "./sensor.ts";
import { Uart } from "./uart.ts";

/** While bytes leave, the UART is run this often. */
const PACE_MS = 2;
const COMMAND_BYTES_MAX = 64;

/** A board on a serial line: firmware, send buffer, baud rate, and what goes wrong with cables. */
export class SerialSensor implements Sensor {
  readonly name: string;
  readonly kind: SerialSpec["kind"];
  readonly #spec: SerialSpec;
  readonly #plug: Plug;
  readonly #random: Random;
  readonly #observe: (seen: Observed) => void;
  readonly #firmware: Firmware;
  readonly #faults: Faults;
  readonly #uart: Uart;
  #board: Board = { at: "off" };
  /** Sampled, and too long for what is free in the send buffer. */
  #waiting: Sent | null = null;
  #counts = { ...NO_COUNTS };
  #timer: NodeJS.Timeout | null = null;
  #outage: NodeJS.Timeout | null = null;
  #stopped = false;
  #heard = "";
  /** Pulling and plugging in, one after the other. */
  #handling: Promise<void> = Promise.resolve();

  constructor(spec: SerialSpec, plug: Plug, random: Random, observe: (seen: Observed) => void) {
    this.name = spec.name;
    this.kind = spec.kind;
    this.#spec = spec;
    this.#plug = plug;
    this.#random = random;
    this.#observe = observe;
    this.#firmware = firmwareOf(spec.kind, spec.name, spec.station ?? 1, random);
    this.#faults = { ...NO_FAULTS, ...spec.faults };
    plug.hear((bytes) => this.#hear(bytes));
    this.#uart = new Uart(spec.baudRate ?? 9600, performance.now(), (bytes) => plug.write(bytes));
  }

  get port(): string {
    return this.#plug.port;
  }

  async start(): Promise<void> {
    await this.#plug.plugIn();
    if (this.#spec.powered ?? true) this.power(true);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#outage !== null) clearTimeout(this.#outage);
    await this.pull();
  }

  power(on: boolean): void {
    this.#step(on ? "power-on" : "power-off");
    this.#schedule();
  }

  pull(): Promise<void> {
    this.#handling = this.#handling.then(() => this.#plug.pull());
    return this.#handling;
  }

  plugIn(): Promise<void> {
    this.#handling = this.#handling.then(async () => {
      if (this.#stopped) return;
      await this.#plug.plugIn();
      this.#counts.reconnects += 1;
    });
    return this.#handling;
  }

  counts(): SensorCounts {
    const { sentBytes: bytes, lostBytes } = this.#uart;
    return { ...this.#counts, bytes, lostBytes };
  }

  #step(event: Parameters<typeof nextBoard>[1]): boolean {
    const timing = { bootMs: this.#spec.bootMs ?? 200, intervalMs: this.#spec.intervalMs ?? 1000 };
    const [board, action] = nextBoard(this.#board, event, performance.now(), timing);
    this.#board = board;
    if (action === "cut") {
      this.#uart.cut();
      this.#waiting = null;
    }
    return action === "sample";
  }

  /** Lines for a board that can be told something. Longer ones than a command are cut: their check value is wrong then. */
  #hear(bytes: Uint8Array): void {
    const { obey } = this.#firmware;
    if (obey === undefined || this.#board.at !== "running") return;
    const lines = (this.#heard + Buffer.from(bytes).toString("latin1")).split(/\r?\n/);
    this.#heard = (lines.pop() ?? "").slice(-COMMAND_BYTES_MAX);
    for (const line of lines) this.#counts.obeyed += obey(line) ? 1 : 0;
  }

  #run(): void {
    this.#uart.run(performance.now());
    for (;;) {
      if (this.#waiting !== null) {
        if (!this.#uart.hasRoomFor(this.#waiting.bytes.length)) break;
        this.#uart.send(this.#waiting.bytes);
        this.#waiting = null;
      }
      if (this.#counts.sampled >= (this.#spec.count ?? Number.POSITIVE_INFINITY)) break;
      const before = this.#board.at;
      if (this.#step("tick")) this.#sample();
      else if (this.#board.at === before) break;
    }
    this.#schedule();
  }

  #sample(): void {
    const n = this.#counts.sampled + 1;
    const sent = onTheCable(this.#firmware(n), this.#faults, this.#random);
    const brownOut = this.#random() < this.#faults.brownOut;
    const damaged = sent.damaged || brownOut;
    this.#counts.sampled = n;
    this.#counts.sent += 1;
    this.#counts.damaged += damaged ? 1 : 0;
    this.#counts.noisy += sent.noisy ? 1 : 0;
    this.#observe({ sensor: this.name, n, damaged });
    this.#waiting = sent;
    if (brownOut) this.#brownOut(sent);
    if (this.#random() < this.#faults.disconnect) this.#fallOut();
  }

  #brownOut(sent: Sent): void {
    this.#step("brown-out");
    this.#counts.resets += 1;
    this.#uart.send(sent.bytes.subarray(0, Math.floor(sent.bytes.length / 2)));
    this.#uart.send(noise(Math.floor(this.#random() * 12), this.#random));
  }

  #fallOut(): void {
    if (this.#outage !== null) return;
    void this.pull();
    this.#outage = setTimeout(() => {
      this.#outage = null;
      void this.plugIn();
    }, this.#faults.outageMs);
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const waitMs = this.#stopped ? null : this.#waitMs();
    if (waitMs !== null) this.#timer = setTimeout(() => this.#run(), waitMs);
  }

  /** Until something is to be done; null when nothing is. */
  #waitMs(): number | null {
    if (!this.#uart.isIdle() || this.#waiting !== null) return PACE_MS;
    const done = this.#counts.sampled >= (this.#spec.count ?? Number.POSITIVE_INFINITY);
    if (this.#board.at === "off" || done) return null;
    const nextMs = this.#board.at === "booting" ? this.#board.readyAtMs : this.#board.dueAtMs;
    return Math.max(0, Math.ceil(nextMs - performance.now()));
  }
}
