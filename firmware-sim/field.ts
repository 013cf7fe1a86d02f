import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeterBus } from "./meter-bus.ts";
import { MqttSensor } from "./mqtt-sensor.ts";
import { hasSocat, ptyPlug } from "./pty.ts";
import { randomFrom, seedOf } from "./random.ts";
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
}

/** A fleet of sensors that runs. */
export interface Field {
  readonly sensors: readonly Sensor[];
  /** The sensor of that name; throws when there is none. */
  sensor(name: string): Sensor;
  counts(): Readonly<Record<string, SensorCounts>>;
  /** Resolves when nothing is left running. */
  stop(): Promise<void>;
}

/** Makes a fleet and starts it. When one sensor cannot start, those that had are stopped and its error is thrown. */
export async function startField(options: FieldOptions): Promise<Field> {
  const names = options.sensors.map((spec) => spec.name);
  if (new Set(names).size !== names.length) throw new Error("two sensors have one name");
  const own = options.directory === undefined ? await mkdtemp(join(tmpdir(), "field-")) : null;
  const directory = options.directory ?? own ?? ".";
  const serial = (await hasSocat()) ? "pty" : "tcp";
  const sensors: Sensor[] = [];
  const stop = async () => {
    await Promise.all(sensors.map((sensor) => sensor.stop()));
    if (own !== null) await rm(own, { recursive: true, force: true });
  };
  try {
    for (const spec of options.sensors) {
      const random = randomFrom(seedOf(options.seed, spec.name));
      const observe = options.observe ?? (() => {});
      const plug = async (transport: string) =>
        transport === "pty" ? ptyPlug(join(directory, `tty-${spec.name}`)) : await tcpPlug();
      const make = async (): Promise<Sensor> => {
        if (spec.kind === "mqtt") return new MqttSensor(spec, random, observe);
        const line = await plug(spec.transport ?? serial);
        return spec.kind === "energy-meter"
          ? new MeterBus(spec, line, random, observe)
          : new SerialSensor(spec, line, random, observe);
      };
      const sensor = await make();
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
