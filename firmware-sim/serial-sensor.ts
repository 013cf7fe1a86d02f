import { type Board, dueMs, nextBoard } from "./board.ts";
import { Cord } from "./cord.ts";
import { Cable, type Damage, type Faults, NO_FAULTS, noise, type Sent } from "./faults.ts";
import { type Firmware, firmwareOf } from "./firmware.ts";
import { Hearing } from "./hearing.ts";
import type { Plug } from "./plug.ts";
import type { Random } from "./random.ts";
import {
  countsOf,
  NO_COUNTS,
  type Observed,
  type Sensor,
  type SensorCounts,
  type SerialSpec,
} from "./sensor.ts";
import { type Left, Uart } from "./uart.ts";

/** While bytes leave, the UART is run this often. */
const PACE_MS = 2;
const COMMAND_BYTES_MAX = 64;
/** A vibration sensor takes 32 samples at 1 kHz a frame, and eight frames a burst. */
const BURST = { frames: 8, frameMs: 32 };

/** A board on a serial line: firmware, send buffer, baud rate, and what goes wrong with cables. */
export class SerialSensor implements Sensor {
  readonly name: string;
  readonly kind: SerialSpec["kind"];
  readonly #spec: SerialSpec;
  readonly #plug: Plug;
  readonly #cord: Cord;
  readonly #random: Random;
  readonly #observe: (seen: Observed) => void;
  readonly #firmware: Firmware;
  readonly #faults: Faults;
  readonly #cable: Cable;
  /** How fast the board's clock is, and with it its rate. */
  readonly #pace: number;
  readonly #uart: Uart;
  readonly #hearing: Hearing;
  #board: Board = { at: "off" };
  /** Sampled, and too long for what is free in the send buffer. */
  #waiting: { readonly n: number; readonly sent: Sent } | null = null;
  #counts = { ...NO_COUNTS };
  readonly #damages = new Map<Damage, number>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #heard = "";

  constructor(spec: SerialSpec, plug: Plug, random: Random, observe: (seen: Observed) => void) {
    this.name = spec.name;
    this.kind = spec.kind;
    this.#spec = spec;
    this.#plug = plug;
    this.#cord = new Cord(plug);
    this.#random = random;
    this.#observe = observe;
    this.#firmware = firmwareOf(spec.kind, spec.name, spec.station ?? 1, random);
    this.#faults = { ...NO_FAULTS, ...spec.faults };
    this.#cable = new Cable(this.#faults, random);
    this.#pace = paceOf(this.#faults, random);
    plug.hear((bytes) => this.#hear(bytes));
    const baudRate = (spec.baudRate ?? 9600) * this.#pace;
    this.#uart = new Uart(baudRate, performance.now(), (bytes) => this.#put(bytes));
    // COBS frames are between zeros, lines end with a line feed.
    this.#hearing = new Hearing(spec.kind === "vibration" ? 0 : 0x0a, (n) =>
      observe({ sensor: spec.name, n, is: "found" }),
    );
  }

  get port(): string {
    return this.#plug.port;
  }

  async start(): Promise<void> {
    await this.#cord.start();
    if (this.#spec.powered ?? true) this.power(true);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#cord.stop();
    this.#hearing.end();
  }

  power(on: boolean): void {
    this.#step(on ? "power-on" : "power-off");
    this.#schedule();
  }

  pull(): Promise<void> {
    return this.#cord.pull();
  }

  plugIn(): Promise<void> {
    return this.#cord.plugIn();
  }

  counts(): SensorCounts {
    const { pieces, intact } = this.#hearing;
    const counts = { ...this.#counts, pieces, intact, reconnects: this.#cord.replugged };
    return countsOf(counts, this.#uart, this.#damages);
  }

  #step(event: Parameters<typeof nextBoard>[1], failures = 0): boolean {
    const { bootMs = 200 } = this.#spec;
    const { watchdogMs } = this.#faults;
    const timing = { bootMs, intervalMs: this.#intervalMs() / this.#pace, watchdogMs, failures };
    const [board, action] = nextBoard(this.#board, event, performance.now(), timing);
    this.#board = board;
    if (action === "cut") {
      this.#counts.resets += event === "power-off" ? 0 : 1;
      this.#uart.cut();
      if (this.#waiting !== null) this.#lose(this.#waiting.n, "brown-out");
      this.#waiting = null;
    }
    return action === "sample";
  }

  #intervalMs(): number {
    const { intervalMs = 1000, kind } = this.#spec;
    if (kind !== "vibration" || intervalMs === 0) return intervalMs;
    return (this.#counts.sampled + 1) % BURST.frames === 0 ? intervalMs : BURST.frameMs;
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
        const { n, sent } = this.#waiting;
        if (!this.#uart.hasRoomFor(sent.bytes.length)) break;
        this.#waiting = null;
        this.#uart.send(sent.bytes, (how) => this.#left(n, sent, how));
      }
      const before = this.#board;
      if (this.#isDone() && before.at === "running") break;
      if (this.#step("tick")) this.#sample();
      else if (this.#board === before) break;
    }
    this.#schedule();
  }

  #isDone(): boolean {
    return this.#counts.sampled >= (this.#spec.count ?? Number.POSITIVE_INFINITY);
  }

  #sample(): void {
    const n = this.#counts.sampled + 1;
    const frame = this.#firmware(n);
    const sent = this.#cable.carry(frame, performance.now());
    this.#hearing.expect(n, frame);
    this.#counts.sampled = n;
    this.#counts.sent += 1;
    this.#counts.noisy += sent.noisy ? 1 : 0;
    const reset = this.#resetNow();
    if (reset === null) this.#waiting = { n, sent };
    else this.#brownOut(n, sent, reset);
    if (this.#happens(this.#faults.hang)) this.#step("hang");
    if (this.#happens(this.#faults.disconnect)) this.#cord.fallOut(this.#faults.outageMs);
  }

  #resetNow(): "brown-out" | "reboot-loop" | null {
    if (this.#happens(this.#faults.brownOut)) return "brown-out";
    return this.#happens(this.#faults.rebootLoop) ? "reboot-loop" : null;
  }

  #brownOut(n: number, sent: Sent, why: "brown-out" | "reboot-loop"): void {
    this.#step("brown-out", why === "brown-out" ? 0 : 2 + Math.floor(this.#random() * 5));
    this.#lose(n, why);
    this.#uart.send(sent.bytes.subarray(0, Math.floor(sent.bytes.length / 2)));
    this.#uart.send(noise(Math.floor(this.#random() * 12), this.#random));
  }

  /** False when nobody takes them. */
  #put(bytes: Uint8Array): boolean {
    const taken = this.#plug.write(bytes);
    if (taken) this.#hearing.hear(bytes);
    else this.#hearing.end();
    return taken;
  }

  /** The last byte of a frame has left, or it never will. */
  #left(n: number, { damage }: Sent, { end }: Left): void {
    if (damage === null && end === "taken") this.#observe({ sensor: this.name, n, is: "left" });
    else this.#lose(n, damage ?? (end === "cut" ? "brown-out" : "unplugged"));
  }

  #lose(n: number, why: Damage): void {
    this.#counts.damaged += 1;
    this.#damages.set(why, (this.#damages.get(why) ?? 0) + 1);
    this.#observe({ sensor: this.name, n, is: "lost" });
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
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
    const nextMs = dueMs(this.#board);
    if (nextMs === null || (this.#isDone() && this.#board.at === "running")) return null;
    return Math.max(0, Math.ceil(nextMs - performance.now()));
  }
}

/** The speed of a board's clock: 1 is right. */
export function paceOf({ driftPpm }: Faults, random: Random): number {
  return driftPpm === 0 ? 1 : 1 + ((random() * 2 - 1) * driftPpm) / 1e6;
}
