import { fullJitter } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { DeviceConfig, ModbusConfig } from "../../config/schema.ts";
import type {
  Device,
  DeviceRead,
  DeviceStatus,
  DeviceTools,
  DeviceWrite,
  ReadResult,
  SlaveStatus,
  Tracer,
  WritePermit,
  WriteResult,
} from "../device.ts";
import { Intake } from "../intake.ts";
import { Line } from "../line.ts";
import { mapperFor } from "../mapping.ts";
import { portFor } from "../port-for.ts";
import { Master } from "./master.ts";
import { mbapWire } from "./mbap.ts";
import { readRequest, writeCoil, writeRegisters } from "./pdu.ts";
import { type PlannedRead, planReads, readingsIn } from "./plan.ts";
import { rtuWire } from "./rtu.ts";
import { Schedule } from "./schedule.ts";
import { Slave } from "./slave.ts";

/** A line of Modbus slaves that are asked by a plan: schedule, master, values, mapping, sink. */
export class PollingDevice implements Device {
  readonly name: string;
  readonly #config: DeviceConfig;
  readonly #clock: Clock;
  readonly #slaves: ReadonlyMap<string, Slave>;
  readonly #schedule: Schedule;
  readonly #master: Master;
  readonly #intake: Intake;
  readonly #line: Line;
  #polling: Promise<void> = Promise.resolve();
  /** Aborted when the port goes away. */
  #open = new AbortController();
  /** Ends the wait for whatever comes next. */
  #wake = () => {};
  #lastFrameMs: number | null = null;
  #heardMs: number;
  readonly #asked: Asked[] = [];

  constructor(config: DeviceConfig & { readonly modbus: ModbusConfig }, tools: DeviceTools) {
    const limits = { ...config, ...tools.limits };
    const { clock, random, identity } = tools;
    const { modbus } = config;
    this.name = `device ${config.name}`;
    this.#config = config;
    this.#clock = clock;
    this.#heardMs = clock.monotonicMs();
    const slaves = modbus.slaves.map((each) => {
      return new Slave(each, mapperFor(config, { ...identity, slave: each.name }));
    });
    this.#slaves = new Map(slaves.map((each) => [each.config.name, each]));
    const delays = { firstMs: modbus.silentFirstMs, maxMs: modbus.silentMaxMs };
    this.#schedule = new Schedule(
      modbus.slaves.flatMap((each) => planReads(each, modbus)),
      { silentMs: (failures) => fullJitter(failures, delays, random) },
    );
    this.#intake = new Intake(tools.sink, limits.inflightMax, {
      full: () => {},
      free: () => this.#wake(),
    });
    this.#line = new Line(
      config,
      tools.port ?? portFor(config, clock, tools.places),
      limits,
      { clock, log: tools.log.part("devices"), random },
      {
        opened: () => this.#begin(),
        data: (chunk) => this.#master.hear(chunk),
        closed: () => {
          this.#open.abort();
          this.#refuseWrites();
        },
        tick: () => {},
      },
    );
    this.#master = new Master(
      modbus.framing === "rtu" ? rtuWire(config, modbus.silenceMs) : mbapWire(),
      {
        write: (bytes) => this.#line.write(bytes),
        giveUp: (why) => this.#line.giveUp(why),
      },
      clock,
    );
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#line.start();
  }

  async stop(): Promise<void> {
    await this.#line.stop();
    this.#open.abort();
    await this.#polling;
    await this.#intake.drained();
  }

  trace(tracer: Tracer): () => void {
    return this.#line.trace(tracer);
  }

  silentForMs(): number {
    return this.#clock.monotonicMs() - this.#heardMs;
  }

  /** Before whatever the plan has next. One that the slave leaves unanswered is not sent again: nobody knows what it did. */
  async write(write: DeviceWrite, permit: WritePermit): Promise<WriteResult> {
    if (write.is === "frame") return { is: "refused", reason: "modbus-only" };
    const pdu =
      write.is === "coil"
        ? writeCoil(write.register, write.on)
        : writeRegisters(write.register, write.values);
    const answer = await this.#ask(write.slave, pdu, permit);
    return answer.is === "answer" ? { is: "success" } : answer;
  }

  /** Before whatever the plan has next, as a write. */
  readonly read = ({ slave, table, register, count }: DeviceRead): Promise<ReadResult> =>
    this.#ask(slave, readRequest(table, register, count), () => null);

  async #ask(name: string | null, pdu: Uint8Array, permit: WritePermit): Promise<ReadResult> {
    const slave = this.#slaveOf(name);
    if (slave === null) return { is: "refused", reason: "no-such-slave" };
    const refusal = this.#line.refusal;
    if (refusal !== null) return unanswered(refusal);
    return await new Promise((resolve) => {
      this.#asked.push({ slave, pdu, permit, resolve });
      this.#wake();
    });
  }

  status(): DeviceStatus {
    const { state, reason, bytes, reopened } = this.#line;
    return {
      name: this.#config.name,
      port: this.#config.port,
      state,
      reason,
      lastFrameMs: this.#lastFrameMs,
      counters: { bytes, ...this.#intake.counters(), reopened },
      overruns: this.#schedule.overruns,
      slaves: [...this.#slaves.values()].map((each) => this.#statusOf(each)),
    };
  }

  #statusOf(slave: Slave): SlaveStatus {
    const silent = this.#schedule.isSilent(slave.config.unit);
    return slave.status(this.#line.state === "open" && !silent);
  }

  #begin(): void {
    const opened = new AbortController();
    this.#open = opened;
    this.#schedule.reset();
    for (const slave of this.#slaves.values()) slave.filter.forget();
    const before = this.#polling;
    this.#polling = before.then(() => this.#poll(opened.signal));
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const asked = this.#asked.shift();
      if (asked !== undefined) {
        asked.resolve(await this.#carryOut(asked, signal));
        continue;
      }
      const turn = this.#schedule.next(this.#clock.monotonicMs());
      const full = this.#intake.isFull();
      if (turn.is === "read" && !full) await this.#read(turn.read, signal);
      else await this.#wait(full || turn.is === "read" ? null : turn.untilMs, signal);
    }
  }

  /** Until then, for ever with null, or until `wake`. */
  async #wait(untilMs: number | null, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    signal.addEventListener("abort", this.#wake, { once: true });
    const restMs =
      untilMs === null ? Number.POSITIVE_INFINITY : untilMs - this.#clock.monotonicMs();
    const ms = Math.min(Math.max(Math.ceil(restMs), 0), WAIT_MS_MAX);
    if (!signal.aborted) await this.#clock.sleep(ms, woken.signal).catch(() => {});
    signal.removeEventListener("abort", this.#wake);
    this.#wake = () => {};
  }

  async #read(read: PlannedRead, signal: AbortSignal): Promise<void> {
    const { unit, timeoutMs, name } = read.slave;
    const slave = this.#slaves.get(name);
    const silent = await this.#master.silence(signal).then(
      () => true,
      () => false, // The port went away: nothing was asked.
    );
    if (slave === undefined || !silent) return;
    slave.requests += 1;
    const outcome = await this.#master.exchange(unit, read.pdu, timeoutMs, signal);
    const nowMs = this.#clock.monotonicMs();
    if (outcome.is === "failed") {
      this.#intake.refuse(outcome.reason);
      this.#schedule.failed(read, nowMs);
      slave.failed(outcome.reason);
      return;
    }
    slave.heard(this.#clock.wallMs());
    this.#schedule.answered(read, nowMs);
    if (outcome.is === "exception") {
      this.#intake.refuse(`exception-${outcome.code}`);
      slave.refused(read, outcome.code);
      return;
    }
    this.#lastFrameMs = this.#clock.wallMs();
    this.#heardMs = nowMs;
    slave.answered(read);
    this.#publish(slave, read, outcome.content);
  }

  async #carryOut({ slave, pdu, permit }: Asked, signal: AbortSignal): Promise<ReadResult> {
    await this.#master.silence(signal).catch(() => {});
    const refusal = permit() ?? this.#line.refusal;
    if (refusal !== null) return unanswered(refusal);
    const { unit, timeoutMs } = slave.config;
    const outcome = await this.#master.exchange(unit, pdu, timeoutMs, signal);
    if (outcome.is === "failed") return { is: "timeout", reason: outcome.reason };
    slave.heard(this.#clock.wallMs());
    return outcome.is === "answer"
      ? outcome
      : { is: "refused", reason: `exception-${outcome.code}` };
  }

  /** By name; without one the only slave. */
  #slaveOf(name: string | null): Slave | null {
    const [only, another] = this.#slaves.values();
    if (name === null) return another === undefined ? (only ?? null) : null;
    return this.#slaves.get(name) ?? null;
  }

  #refuseWrites(): void {
    const refusal = unanswered(this.#line.refusal ?? { is: "refused", reason: "port-lost" });
    for (const { resolve } of this.#asked.splice(0)) resolve(refusal);
  }

  #publish(slave: Slave, read: PlannedRead, content: Uint8Array): void {
    const readings = slave.filter.pass(readingsIn(read, content));
    const mapped = readings.length === 0 ? [] : slave.map({ is: "readings", readings });
    if (typeof mapped === "string") this.#intake.refuse(mapped);
    else {
      // What was not kept is said again at the next reading.
      this.#intake.take(mapped, (accepted) => {
        if (!accepted) slave.filter.forget();
      });
    }
  }
}

/** Why there is no answer: a success is none. */
function unanswered(result: WriteResult): ReadResult {
  return result.is === "success" ? { is: "refused", reason: "no-answer" } : result;
}

/** A request beside the plan that waits for its turn on the wire. */
interface Asked {
  readonly slave: Slave;
  readonly pdu: Uint8Array;
  readonly permit: WritePermit;
  readonly resolve: (result: ReadResult) => void;
}

/** A timer of Node can be no longer than 24 days. */
const WAIT_MS_MAX = 60_000;
