import type { Damage, Faults } from "./faults.ts";
import type { SerialKind } from "./firmware.ts";

/** One sensor of a fleet, as its file describes it. */
export type SensorSpec = SerialSpec | MeterSpec | MqttSpec;

interface CommonSpec {
  /** Unique in the fleet; also the id that its messages carry. */
  readonly name: string;
  /** Between two samples, of a vibration sensor between two bursts; 0: as fast as it can. Default 1000. */
  readonly intervalMs?: number;
  /** It falls silent after so many samples. Default: never. */
  readonly count?: number;
  /** False: it waits for `power`. Default true. */
  readonly powered?: boolean;
}

export interface SerialSpec extends CommonSpec {
  readonly kind: SerialKind;
  /** Its number where the protocol knows no names. Default 1. */
  readonly station?: number;
  /** Default 9600. */
  readonly baudRate?: number;
  /** Default 200. */
  readonly bootMs?: number;
  /** pty needs socat. Default: pty where there is socat, else tcp. */
  readonly transport?: "pty" | "tcp";
  readonly faults?: Partial<Faults>;
}

/** Energy meters on one line, with one supply. They answer, and take no samples by themselves. */
export interface MeterSpec extends Omit<CommonSpec, "intervalMs" | "count"> {
  readonly kind: "energy-meter";
  /** Address of the first meter. Default 1. */
  readonly station?: number;
  /** Meters on the line, with addresses in a row. Default 1. */
  readonly units?: number;
  /** Addresses that do not answer. */
  readonly silent?: readonly number[];
  /** Default 9600. */
  readonly baudRate?: number;
  /** Default 200. */
  readonly bootMs?: number;
  readonly transport?: "pty" | "tcp" | "modbus-tcp";
  readonly faults?: Partial<Faults>;
}

export interface MqttSpec extends CommonSpec {
  readonly kind: "mqtt";
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
  /** Default sensors/NAME. */
  readonly topic?: string;
  /** PUBLISH packets without PUBACK at a time. Default 8. */
  readonly windowMax?: number;
  /** Samples that it keeps for a broker that is away; beyond it, it does not sample. Default 1000. */
  readonly outboxMax?: number;
  /** Default 30. */
  readonly keepAliveSeconds?: number;
  /** Ceiling of the first random delay before connecting again; doubles up to 30 s. Default 200. */
  readonly backoffFirstMs?: number;
  /** Default 200. */
  readonly bootMs?: number;
  /** Those that a sensor on a network can have: TCP carries no noise. */
  readonly faults?: Partial<Pick<Faults, NetworkFault>>;
}

export type NetworkFault =
  | "half"
  | "stuck"
  | "stuckMs"
  | "brownOut"
  | "hang"
  | "watchdogMs"
  | "rebootLoop"
  | "disconnect"
  | "outageMs"
  | "driftPpm";

/** What a sensor did, all of it since it was made. */
export interface SensorCounts {
  /** Samples; also the last running number. */
  readonly sampled: number;
  /** Frames or packets handed to the line, repeated ones included. */
  readonly sent: number;
  /** Bytes that somebody took. */
  readonly bytes: number;
  /** Bytes that nobody took. */
  readonly lostBytes: number;
  /** Frames that faults altered, or that never left. */
  readonly damaged: number;
  /** The same, by what was done to them. */
  readonly damages: Readonly<Partial<Record<Damage, number>>>;
  /** Frames that whoever is connected finds; also those of which faults altered only what lies between two. */
  readonly intact: number;
  /** Of boards that speak by themselves: what whoever is connected finds or refuses. */
  readonly pieces: number;
  /** Frames after a burst of noise. */
  readonly noisy: number;
  /** Brown-outs, and resets by the watchdog. */
  readonly resets: number;
  /** Times that it was connected or plugged in again. */
  readonly reconnects: number;
  /** Commands that it took. */
  readonly obeyed: number;
  /** Messages that the broker has acknowledged; 0 for serial sensors. */
  readonly acknowledged: number;
  /** PUBLISH packets with DUP. */
  readonly repeated: number;
}

export const NO_COUNTS: SensorCounts = {
  sampled: 0,
  sent: 0,
  bytes: 0,
  lostBytes: 0,
  damaged: 0,
  damages: {},
  intact: 0,
  pieces: 0,
  noisy: 0,
  resets: 0,
  reconnects: 0,
  obeyed: 0,
  acknowledged: 0,
  repeated: 0,
};

/** The counts of a board with a UART. */
export function countsOf(
  counts: SensorCounts,
  uart: { readonly sentBytes: number; readonly lostBytes: number },
  damages: ReadonlyMap<Damage, number>,
): SensorCounts {
  const { sentBytes: bytes, lostBytes } = uart;
  return { ...counts, bytes, lostBytes, damages: Object.fromEntries(damages) };
}

/**
 * What a test can see of a frame. `left`: it has left as the firmware meant it; `lost`: faults altered it, or it never will; `found`: whoever
 * is connected finds it, also where faults have altered only what lies between two frames.
 */
export interface Observed {
  readonly sensor: string;
  readonly n: number;
  readonly is: "left" | "lost" | "found";
}

export interface Sensor {
  readonly name: string;
  readonly kind: SensorSpec["kind"];
  /** What a gateway is configured with to read it; null for a sensor that connects by itself. */
  readonly port: string | null;
  start(): Promise<void>;
  /** Resolves when nothing of it is left running. */
  stop(): Promise<void>;
  power(on: boolean): void;
  /** Pulls the cable, or cuts the connection until `plugIn`. */
  pull(): Promise<void>;
  plugIn(): Promise<void>;
  counts(): SensorCounts;
}
