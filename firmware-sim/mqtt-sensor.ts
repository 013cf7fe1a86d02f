import { connect, type Socket } from "node:net";
import { type Board, type BoardEvent, dueMs, nextBoard } from "./board.ts";
import {
  type Answer,
  answersIn,
  connectPacket,
  DISCONNECT,
  PINGREQ,
  publishPacket,
} from "./encode/mqtt.ts";
import { type Faults, NO_FAULTS } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Note } from "./recorder.ts";
import {
  type MqttSpec,
  NO_COUNTS,
  type Observed,
  type Sensor,
  type SensorCounts,
} from "./sensor.ts";
import { paceOf } from "./serial-sensor.ts";

/** A sample that the broker has not acknowledged. */
interface Owed {
  readonly n: number;
  readonly packetId: number;
  readonly payload: Uint8Array;
  sent: boolean;
}

type Link =
  | { readonly at: "off" }
  | { readonly at: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly at: "connecting" | "connected"; readonly socket: Socket };

const CONNECT_MS_MAX = 5000;
const BACKOFF_MS_MAX = 30_000;

/**
 * A sensor that speaks MQTT 3.1.1 over TCP: QoS 1, at most `windowMax` unacknowledged, in order, and after a reconnect all
 * that is unacknowledged again, with DUP. It forgets a sample only when its PUBACK has come: its outbox outlives a reset.
 */
export class MqttSensor implements Sensor {
  readonly name: string;
  readonly kind = "mqtt";
  readonly port = null;
  readonly #spec: MqttSpec;
  readonly #random: Random;
  readonly #observe: (seen: Observed) => void;
  readonly #note: Note;
  readonly #faults: Faults;
  /** How fast the board's clock is. */
  readonly #pace: number;
  readonly #outbox: Owed[] = [];
  #board: Board = { at: "off" };
  #link: Link = { at: "off" };
  /** The connection that is noted as plugged in. */
  #plugged: Socket | null = null;
  #attempt = 0;
  #openings = 0;
  #packetId = 0;
  #pulled = false;
  #timer: NodeJS.Timeout | null = null;
  /** What the network does and ends by itself: it is pulled for a while, or stuck. */
  #mishap: NodeJS.Timeout | null = null;
  #cutNext = false;
  #counts = { ...NO_COUNTS };
  #temperature = 20;

  constructor(
    spec: MqttSpec,
    random: Random,
    observe: (seen: Observed) => void,
    note: Note = () => {},
  ) {
    this.name = spec.name;
    this.#spec = spec;
    this.#random = random;
    this.#observe = observe;
    this.#note = note;
    this.#faults = { ...NO_FAULTS, ...spec.faults };
    this.#pace = paceOf(this.#faults, random);
  }

  async start(): Promise<void> {
    if (this.#spec.powered ?? true) this.power(true);
  }

  async stop(): Promise<void> {
    if (this.#mishap !== null) clearTimeout(this.#mishap);
    const socket = "socket" in this.#link ? this.#link.socket : null;
    if (this.#link.at === "connected" && socket !== null) this.#write(socket, DISCONNECT);
    this.power(false);
    if (socket !== null && !socket.closed) {
      await new Promise((resolve) => socket.once("close", resolve));
    }
  }

  power(on: boolean): void {
    this.#step(on ? "power-on" : "power-off");
    this.#schedule();
  }

  async pull(): Promise<void> {
    this.#pulled = true;
    this.#disconnect(true);
  }

  async plugIn(): Promise<void> {
    this.#pulled = false;
    this.#connect();
  }

  counts(): SensorCounts {
    return { ...this.#counts, reconnects: Math.max(0, this.#openings - 1) };
  }

  /** True when it is time for a sample. */
  #step(event: BoardEvent, failures = 0): boolean {
    const { bootMs = 200, intervalMs = 1000 } = this.#spec;
    const { watchdogMs } = this.#faults;
    const timing = { bootMs, intervalMs: intervalMs / this.#pace, watchdogMs, failures };
    const [board, action] = nextBoard(this.#board, event, performance.now(), timing);
    this.#board = board;
    if (action === "cut") {
      // Without its supply it says no DISCONNECT, and nothing that was on its way; switched off it does.
      this.#counts.resets += event === "power-off" ? 0 : 1;
      this.#disconnect(event !== "power-off");
    }
    this.#connect();
    return action === "sample";
  }

  #run(): void {
    for (;;) {
      const before = this.#board;
      if (before.at === "running" && this.#isFull()) break;
      if (this.#step("tick")) this.#sample();
      else if (this.#board === before) break;
    }
    this.#schedule();
  }

  /** Nothing more to sample, or no room for it: then an acknowledgement makes it go on. */
  #isFull(): boolean {
    const { count = Number.POSITIVE_INFINITY, outboxMax = 1000, intervalMs } = this.#spec;
    const roomFor = intervalMs === 0 ? Math.min(outboxMax, this.#windowMax()) : outboxMax;
    return this.#counts.sampled >= count || this.#outbox.length >= roomFor;
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const nextMs = dueMs(this.#board);
    if (nextMs === null || (this.#board.at === "running" && this.#isFull())) return;
    const waitMs = Math.max(0, Math.ceil(nextMs - performance.now()));
    this.#timer = setTimeout(() => this.#run(), waitMs);
  }

  #sample(): void {
    const n = this.#counts.sampled + 1;
    this.#counts.sampled = n;
    this.#temperature += this.#random() - 0.5;
    const sample = { id: this.name, n, T: Number(this.#temperature.toFixed(1)) };
    this.#packetId = (this.#packetId % 65_535) + 1;
    const payload = Buffer.from(JSON.stringify(sample));
    this.#outbox.push({ n, packetId: this.#packetId, payload, sent: false });
    this.#observe({ sensor: this.name, n, is: "left" });
    this.#cutNext ||= this.#happens(this.#faults.half);
    this.#fill();
    this.#fail();
  }

  /** One mishap at a time. */
  #fail(): void {
    if (this.#mishap !== null) return;
    const { outageMs, stuckMs } = this.#faults;
    if (this.#happens(this.#faults.disconnect)) {
      void this.pull();
      this.#later(outageMs, () => void this.plugIn());
    } else if (this.#happens(this.#faults.brownOut)) this.#step("brown-out");
    else if (this.#happens(this.#faults.hang)) {
      this.#step("hang");
      this.#hold();
    } else if (this.#happens(this.#faults.rebootLoop)) {
      this.#step("brown-out", 2 + Math.floor(this.#random() * 5));
    } else if (this.#happens(this.#faults.stuck)) {
      const release = this.#hold();
      this.#later(stuckMs, release);
    }
  }

  /** Nothing leaves and nothing is read until the returned function is called; samples go on into the outbox. */
  #hold(): () => void {
    const socket = "socket" in this.#link ? this.#link.socket : null;
    socket?.cork();
    socket?.pause();
    return () => {
      socket?.uncork();
      socket?.resume();
    };
  }

  #later(ms: number, what: () => void): void {
    this.#mishap = setTimeout(() => {
      this.#mishap = null;
      what();
    }, ms);
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }

  #connect(): void {
    if (this.#board.at !== "running" || this.#pulled || this.#link.at !== "off") return;
    this.#attempt += 1;
    const socket = connect({ host: this.#spec.host ?? "127.0.0.1", port: this.#spec.port });
    this.#link = { at: "connecting", socket };
    socket.setNoDelay(true);
    socket.setTimeout(CONNECT_MS_MAX, () => socket.destroy());
    let rest: Uint8Array = new Uint8Array(0);
    socket.on("connect", () => {
      this.#plugged = socket;
      this.#note("plug");
      this.#write(socket, connectPacket(this.name, this.#keepAliveSeconds()));
    });
    socket.on("data", (chunk) => {
      if (this.#plugged === socket) this.#note("hear", chunk);
      const { answers, rest: left } = answersIn(Buffer.concat([rest, chunk]));
      rest = left;
      for (const answer of answers) this.#hear(answer, socket);
    });
    socket.on("error", () => {}); // Followed by close.
    socket.on("close", () => this.#lost(socket));
  }

  #hear(answer: Answer, socket: Socket): void {
    if (!("socket" in this.#link) || this.#link.socket !== socket) return;
    if (answer.is === "connack" && answer.code === 0) this.#connected(socket);
    else if (answer.is === "puback") this.#acknowledged(answer.packetId);
    else if (answer.is !== "pingresp") socket.destroy();
  }

  #connected(socket: Socket): void {
    this.#link = { at: "connected", socket };
    this.#openings += 1;
    this.#attempt = 0;
    const keepAliveMs = this.#keepAliveSeconds() * 1000;
    const pinging = setInterval(() => this.#write(socket, PINGREQ), keepAliveMs / 2);
    socket.once("close", () => clearInterval(pinging));
    // A broker that answers neither pings nor messages for so long is gone.
    socket.setTimeout(keepAliveMs * 1.5);
    for (const owed of this.#window()) {
      if (!owed.sent) continue;
      this.#counts.repeated += 1;
      this.#publish(socket, owed, true);
    }
    this.#fill();
  }

  #acknowledged(packetId: number): void {
    const at = this.#window().findIndex((owed) => owed.sent && owed.packetId === packetId);
    if (at === -1) return;
    this.#outbox.splice(at, 1);
    this.#counts.acknowledged += 1;
    this.#fill();
    if (this.#timer === null) this.#run();
  }

  /** Sends what the window has room for and was never sent. */
  #fill(): void {
    if (this.#link.at !== "connected") return;
    for (const owed of this.#window()) {
      if (owed.sent) continue;
      owed.sent = true;
      this.#publish(this.#link.socket, owed, false);
    }
  }

  #window(): Owed[] {
    return this.#outbox.slice(0, this.#windowMax());
  }

  #windowMax(): number {
    return this.#spec.windowMax ?? 8;
  }

  #publish(socket: Socket, owed: Owed, again: boolean): void {
    const topic = this.#spec.topic ?? `sensors/${this.name}`;
    this.#counts.sent += 1;
    const packet = publishPacket(topic, owed.payload, owed.packetId, again);
    if (!this.#cutNext) {
      this.#write(socket, packet);
      return;
    }
    // The packet ends somewhere in the middle, and so does the connection.
    this.#cutNext = false;
    this.#counts.damaged += 1;
    this.#write(socket, packet.subarray(0, 1 + Math.floor(this.#random() * (packet.length - 1))));
    socket.destroySoon();
  }

  /** Behind half a packet nothing leaves any more. */
  #write(socket: Socket, bytes: Uint8Array): void {
    if (!socket.writable) return;
    this.#counts.bytes += bytes.length;
    if (this.#plugged === socket) this.#note("say", bytes);
    socket.write(bytes);
  }

  /** At once, and not when the old connection is closed: that may be after the next one has begun. */
  #unplug(socket: Socket): void {
    if (this.#plugged !== socket) return;
    this.#plugged = null;
    this.#note("pull");
  }

  #lost(socket: Socket): void {
    this.#unplug(socket);
    if (!("socket" in this.#link) || this.#link.socket !== socket) return;
    const first = this.#spec.backoffFirstMs ?? 200;
    const ceilingMs = Math.min(BACKOFF_MS_MAX, first * 2 ** Math.min(this.#attempt, 20));
    const retry = () => {
      this.#link = { at: "off" };
      this.#connect();
    };
    this.#link = { at: "waiting", timer: setTimeout(retry, this.#random() * ceilingMs) };
  }

  #disconnect(isAbrupt: boolean): void {
    const link = this.#link;
    this.#link = { at: "off" };
    if (link.at === "waiting") clearTimeout(link.timer);
    if (!("socket" in link)) return;
    this.#unplug(link.socket);
    // The last packets first, but not for longer than the broker takes to close.
    if (isAbrupt) link.socket.destroy();
    else link.socket.destroySoon();
  }

  #keepAliveSeconds(): number {
    return this.#spec.keepAliveSeconds ?? 30;
  }
}
