import { closeSync, openSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Plug } from "./plug.ts";
import {
  ENTRY_BYTES_MAX,
  endLine,
  entryLine,
  type Happening,
  headerLine,
  RecordingError,
  type RecordingHeader,
} from "./recording.ts";

/** What happens to one sensor is told so. */
export type Note = (what: Happening, bytes?: Uint8Array) => void;

/** Lines are written together, and waited for: a recording never has more than this in memory, and loses no more to a crash. */
const BATCH_CHARACTERS = 65_536;
const NOTHING = new Uint8Array(0);

/** Keeps what happens on the lines of a field, with its time. Without `end` the file is one that was cut off, and refused as such. */
export class Recorder {
  readonly #path: string;
  readonly #file: number;
  readonly #nowMs: () => number;
  readonly #beganMs: number;
  #lines = "";
  #entries = 0;
  #crc = 0;
  #failure: unknown = null;
  #ended = false;

  /** A file that is there already is not written over. ERR_RECORDING_WRITE when it cannot be made. */
  constructor(path: string, header: RecordingHeader, nowMs = () => performance.now()) {
    this.#path = path;
    this.#nowMs = nowMs;
    this.#beganMs = nowMs();
    try {
      this.#file = openSync(path, "wx");
    } catch (error) {
      throw this.#error(error);
    }
    this.#add(headerLine(header));
    this.#write();
  }

  /** For what happens to the sensor at that place of the header's list. */
  noteOf(sensor: number): Note {
    return (what, bytes = NOTHING) => {
      const atUs = Math.round((this.#nowMs() - this.#beganMs) * 1000);
      let at = 0;
      do {
        const part = bytes.subarray(at, at + ENTRY_BYTES_MAX);
        this.#add(entryLine({ sensor, atUs, what, bytes: part }));
        this.#entries += 1;
        at += ENTRY_BYTES_MAX;
      } while (at < bytes.length);
    };
  }

  /** The recording is whole. ERR_RECORDING_WRITE when it is not, because the disk did not take it. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#write();
    this.#lines = endLine({
      entries: this.#entries,
      crc32: this.#crc.toString(16).padStart(8, "0"),
    });
    this.#write();
    closeSync(this.#file);
    if (this.#failure !== null) throw this.#error(this.#failure);
  }

  #add(line: string): void {
    if (this.#failure !== null || this.#ended) return;
    this.#lines += line;
    if (this.#lines.length >= BATCH_CHARACTERS) this.#write();
  }

  /** A sensor does not fail because its recording does: `end` says it. */
  #write(): void {
    if (this.#failure !== null) return;
    const bytes = Buffer.from(this.#lines);
    this.#lines = "";
    this.#crc = crc32(bytes, this.#crc);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    } catch (error) {
      this.#failure = error;
    }
  }

  #error(cause: unknown): RecordingError {
    const why = cause instanceof Error ? cause.message : String(cause);
    const what = `${this.#path} cannot be written: ${why}`;
    return new RecordingError("ERR_RECORDING_WRITE", what, { cause });
  }
}

/** The plug, with what happens on its cable noted. */
export function recordedPlug(plug: Plug, note: Note): Plug {
  return {
    port: plug.port,
    write(bytes) {
      note("say", bytes);
      return plug.write(bytes);
    },
    hear(listener) {
      plug.hear((bytes) => {
        note("hear", bytes);
        listener(bytes);
      });
    },
    async plugIn() {
      await plug.plugIn();
      note("plug");
    },
    async pull() {
      note("pull");
      await plug.pull();
    },
  };
}
