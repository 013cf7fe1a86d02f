import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeterBus } from "./meter-bus.ts";
import { MqttSensor } from "./mqtt-sensor.ts";
import { hasSocat, ptyPlug } from "./pty.ts";
import { type Random, randomFrom, seedOf } from "./random.ts";
import { type Note, Recorder, recordedPlug } from "./recorder.ts";
import type { RecordedSensor } from "./recording.ts";
import type { Observed, Sensor, SensorCounts, SensorSpec } from "./sensor.ts";
import { SerialSensor } from "./serial-sensor.ts";
import { tcpPlug } from "./tcp.ts";

export interface FieldOptions {
  readonly sensors: readonly SensorSpec[];
  /** Decides every measured value and every fault. */
  readonly seed: number;
  /** Where pseudo-terminals appear, as tty-NAME. Default: a new directory below the system's temporary one. */
  readonly directory?: string;
  /** Sees each frame as it is handed to the line. */
  readonly observe?: (seen: Observed) => void;
  /** Keeps every byte with its time in this file, which must not be there yet. */
  readonly record?: string;
}

/** A fleet of sensors that runs. */
export interface Field {
  readonly sensors: readonly Sensor[];
  /** The sensor of that name; throws when there is none. */
  sensor(name: string): Sensor;
  counts(): Readonly<Record<string, SensorCounts>>;
  /** Resolves when nothing is left running. Rejects with ERR_RECORDING_WRITE when the recording is not whole. */
  stop(): Promise<void>;
}

/** Makes a fleet and starts it. When one sensor cannot start, those that had are stopped and its error is thrown. */
export async function startField(options: FieldOptions): Promise<Field> {
  const names = options.sensors.map((spec) => spec.name);
  if (new Set(names).size !== names.length) throw new Error("two sensors have one name");
  const serial = (await hasSocat()) ? "pty" : "tcp";
  const recorder = recorderFor(options, serial);
  const own = options.directory === undefined ? await mkdtemp(join(tmpdir(), "field-")) : null;
  const directory = options.directory ?? own ?? ".";
  const sensors: Sensor[] = [];
  const stop = async () => {
    await Promise.all(sensors.map((sensor) => sensor.stop()));
    if (own !== null) await rm(own, { recursive: true, force: true });
    recorder?.end();
  };
  try {
    for (const [i, spec] of options.sensors.entries()) {
      const random = randomFrom(seedOf(options.seed, spec.name));
      const observe = options.observe ?? (() => {});
      const note = recorder?.noteOf(i) ?? null;
      const sensor = await sensorFor(spec, { random, observe, note, directory, serial });
      sensors.push(sensor);
      await sensor.start();
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    sensors,
    sensor(name) {
      const found = sensors.find((sensor) => sensor.name === name);
      if (found === undefined) throw new Error(`no sensor is called ${name}`);
      return found;
    },
    counts: () => Object.fromEntries(sensors.map((sensor) => [sensor.name, sensor.counts()])),
    stop,
  };
}

interface Wiring {
  readonly random: Random;
  readonly observe: (seen: Observed) => void;
  readonly note: Note | null;
  readonly directory: string;
  /** Where there is none in the specification. */
  readonly serial: "pty" | "tcp";
}

async function sensorFor(spec: SensorSpec, wiring: Wiring): Promise<Sensor> {
  const { random, observe, note, directory } = wiring;
  if (spec.kind === "mqtt") return new MqttSensor(spec, random, observe, note ?? undefined);
  const transport = spec.transport ?? wiring.serial;
  const plug = transport === "pty" ? ptyPlug(join(directory, `tty-${spec.name}`)) : await tcpPlug();
  const line = note === null ? plug : recordedPlug(plug, note);
  return spec.kind === "energy-meter"
    ? new MeterBus(spec, line, random, observe)
    : new SerialSensor(spec, line, random, observe);
}

function recorderFor(options: FieldOptions, serial: "pty" | "tcp"): Recorder | null {
  if (options.record === undefined) return null;
  const sensors = options.sensors.map((spec): RecordedSensor => {
    const { name, kind } = spec;
    if (spec.kind !== "mqtt") {
      return {
        name,
        kind,
        transport: spec.transport ?? serial,
        baudRate: spec.baudRate ?? BAUD_RATE,
      };
    }
    return { name, kind, transport: "mqtt", host: spec.host ?? "127.0.0.1", port: spec.port };
  });
  return new Recorder(options.record, { seed: options.seed, sensors });
}

/** Of a sensor whose specification says none. */
const BAUD_RATE = 9600;
