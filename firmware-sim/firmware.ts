import {
  doorContactCommand,
  doorContactLine,
  thermometerLine,
  vibrationFrame,
  weatherSentence,
} from "./encode/boards.ts";
import type { Random } from "./random.ts";

export type SerialKind = "thermometer" | "door-contact" | "vibration" | "weather-station";

/** What a board measures and says as its n-th frame. */
export type Firmware = ((n: number) => Uint8Array) & {
  /** A board that can be told something takes the line without its end; true when it does what the line says. */
  readonly obey?: (line: string) => boolean;
};

/** `id` names the sensor; `station` is its number where the protocol knows no names. */
export function firmwareOf(
  kind: SerialKind,
  id: string,
  station: number,
  random: Random,
): Firmware {
  return FIRMWARE[kind](id, station, random);
}

const SAMPLES_PER_FRAME = 32;

const FIRMWARE: Record<SerialKind, (id: string, station: number, random: Random) => Firmware> = {
  thermometer(id, _station, random) {
    const temperature = wander(20, -40, 85, 0.3, random);
    return (n) => thermometerLine({ id, n, temperature: temperature() });
  },
  "door-contact"(id, _station, random) {
    const battery = wander(3, 2.2, 3.6, 0.01, random);
    let open = false;
    let lamp: boolean | undefined;
    const say = (n: number) => {
      if (random() < 0.3) open = !open;
      const sample = { id, n, open, battery: battery() };
      return doorContactLine(lamp === undefined ? sample : { ...sample, lamp });
    };
    return Object.assign(say, {
      obey(line: string) {
        const command = doorContactCommand(line);
        lamp = command ?? lamp;
        return command !== null;
      },
    });
  },
  vibration(_id, station, random) {
    const amplitude = wander(2000, 0, 16_000, 500, random);
    return (n) => {
      const peak = amplitude();
      const samples = Array.from({ length: SAMPLES_PER_FRAME }, (_, i) =>
        Math.round(peak * Math.sin((i * Math.PI) / 8) + peak * (random() - 0.5)),
      );
      return vibrationFrame({ station, n, samples });
    };
  },
  "weather-station"(_id, station, random) {
    const air = wander(12, -30, 45, 0.2, random);
    const baro = wander(1.013, 0.95, 1.05, 0.0002, random);
    const humidity = wander(60, 5, 100, 1, random);
    const speed = wander(4, 0, 40, 1, random);
    return (n) =>
      n % 4 === 0
        ? weatherSentence({ kind: "wind", angle: Math.floor(random() * 360), speed: speed() })
        : weatherSentence({
            kind: "transducers",
            station,
            n,
            air: air(),
            baro: baro(),
            humidity: humidity(),
          });
  },
};

/** A value that moves by at most `step` and stays between its bounds. */
function wander(start: number, min: number, max: number, step: number, random: Random) {
  let value = start;
  return () => {
    value = Math.min(max, Math.max(min, value + (random() * 2 - 1) * step));
    return value;
  };
}
