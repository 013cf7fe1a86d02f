import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import type { SerialPlaces } from "./file-adapters.ts";
import type { Link } from "./link.ts";
import type { Identity } from "./mapping.ts";
import type { Table } from "./modbus/pdu.ts";
import type { Port, PortTrouble } from "./port.ts";

/** Where a device's messages go. */
export interface DeviceSink {
  /** Resolves when the message is as safe as its QoS asks; rejects when it was refused. Called in the order of the frames. */
  admit(message: Message): Promise<void>;
}

/** The bounds among the configuration's keys, which tests tighten. */
export type DeviceLimits = Pick<
  DeviceConfig,
  "inflightMax" | "readingsMax" | "openTimeoutMs" | "backoffFirstMs" | "backoffMaxMs" | "stableMs"
>;

export interface DeviceTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: Identity;
  readonly sink: DeviceSink;
  readonly limits?: Partial<DeviceLimits>;
  /** In place of the port that the configuration names. */
  readonly port?: Port;
  /** In place of /dev and /sys. */
  readonly places?: SerialPlaces;
}

/** frames = accepted + the sum of refused + inflight, always. */
export interface DeviceCounters {
  /** Bytes read from the port. */
  readonly bytes: number;
  /** Frames found, and those that were begun and lost. */
  readonly frames: number;
  /** Frames of which the sink has taken every message. */
  readonly accepted: number;
  /** Frames by the reason for which they were refused: by framing, decoding, mapping, or the code of the sink's error. */
  readonly refused: Readonly<Record<string, number>>;
  /** Frames of which a message waits for the sink. */
  readonly inflight: number;
  /** Messages that the sink has taken. */
  readonly messages: number;
  /** Times that the port was opened again. */
  readonly reopened: number;
  /** Times that the port was paused because the sink was full. */
  readonly paused: number;
}

export interface DeviceStatus {
  readonly name: string;
  readonly port: string;
  readonly state: Link["at"];
  /** Why it is not open; null when it is, or was never tried. */
  readonly reason: PortTrouble | null;
  /** Wall time of the last good frame, in milliseconds since 1970; null before the first. */
  readonly lastFrameMs: number | null;
  readonly counters: DeviceCounters;
  /** received = success + the sums of refused and timeout + waiting. */
  readonly commands?: CommandCounters;
  /** Of a line of Modbus slaves: readings that came so late that the next one was due. */
  readonly overruns?: number;
  readonly slaves?: readonly SlaveStatus[];
}

export interface CommandCounters {
  readonly received: number;
  readonly success: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly timeout: Readonly<Record<string, number>>;
  readonly waiting: number;
}

/** One Modbus slave; requests = answers + exceptions + the sum of failures + at most one on the wire. */
export interface SlaveStatus {
  readonly name: string;
  readonly unit: number;
  /** It answered last time. */
  readonly online: boolean;
  /** Wall time of its last answer; null before the first. */
  readonly lastHeardMs: number | null;
  readonly requests: number;
  readonly answers: number;
  readonly exceptions: number;
  /** Requests without a right answer, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Readings that were not published, because they had not changed enough. */
  readonly unchanged: number;
  /** What it refuses now, with the exception's code. */
  readonly refusing: readonly {
    readonly table: string;
    readonly start: number;
    readonly count: number;
    readonly code: number;
    readonly text: string;
  }[];
}

/** What is written to a device: the content of a frame, or to a Modbus slave; null is the only one. */
export type DeviceWrite =
  | { readonly is: "frame"; readonly content: Uint8Array }
  | {
      readonly is: "coil";
      readonly slave: string | null;
      readonly register: number;
      readonly on: boolean;
    }
  | {
      readonly is: "registers";
      readonly slave: string | null;
      readonly register: number;
      readonly values: readonly number[];
    };

/** What is read from a Modbus slave; null is the only one. */
export interface DeviceRead {
  readonly slave: string | null;
  readonly table: Table;
  readonly register: number;
  readonly count: number;
}

export type ReadResult =
  | { readonly is: "answer"; readonly content: Uint8Array }
  | { readonly is: "refused" | "timeout"; readonly reason: string };

/** `refused`: it was not written, or the device refused it. `timeout`: too late, or nobody knows whether it took effect. */
export type WriteResult =
  | { readonly is: "success" }
  | { readonly is: "refused" | "timeout"; readonly reason: string };

/** Asked in the turn in which the bytes are handed to the port; null: write. */
export type WritePermit = () => WriteResult | null;

/** Told of the bytes on a line, as they come and as they leave. */
export type Tracer = (way: "in" | "out", bytes: Uint8Array) => void;

export interface Device extends Service {
  status(): DeviceStatus;
  /** How long, by the monotonic clock, since it was last heard, or since it was made. */
  silentForMs(): number;
  /** Never rejects. Frames: success when the system took the bytes. Modbus: success when the slave confirmed it. */
  write(write: DeviceWrite, permit: WritePermit): Promise<WriteResult>;
  /** Tells of every byte on its line, until the returned function is called. */
  trace(tracer: Tracer): () => void;
  /** Of a line of Modbus slaves: asks one beside the plan. Never rejects. */
  readonly read?: (read: DeviceRead) => Promise<ReadResult>;
}
