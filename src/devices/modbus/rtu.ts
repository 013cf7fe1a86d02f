import type { DeviceConfig } from "../../config/schema.ts";
import { checkNamed, hasBinaryCheck } from "../check.ts";
import { answerBytes, EXCEPTION_BYTES } from "./pdu.ts";
import type { Wire } from "./wire.ts";

/** Longest frame on a serial line [MODBUS over Serial Line V1.02, 2.5.1]. */
const FRAME_BYTES_MAX = 256;
/** Above this rate the silence between frames is fixed [2.5.1.1]. */
const FIXED_SILENCE_BAUD = 19_200;
const FIXED_SILENCE_MS = 1.75;

type Settings = Pick<DeviceConfig, "baudRate" | "dataBits" | "parity" | "stopBits">;

/**
 * Modbus RTU, the master's side: unit, PDU, CRC. A master knows what it waits for: the answer's unit, its function and its
 * length. So it is looked for at every byte, noise before it is skipped, and its end is not waited for in silence.
 */
export function rtuWire(settings: Settings, silenceMs?: number): Wire {
  const { baudRate, dataBits, parity, stopBits } = settings;
  const bitsPerByte = 1 + dataBits + (parity === "none" ? 0 : 1) + stopBits;
  const byteMs = (bitsPerByte * 1000) / baudRate;
  const silence = baudRate > FIXED_SILENCE_BAUD ? FIXED_SILENCE_MS : 3.5 * byteMs;
  return new RtuWire(byteMs, silenceMs ?? silence);
}

const check = checkNamed("crc16-modbus");

class RtuWire implements Wire {
  readonly silenceMs: number;
  readonly #byteMs: number;
  readonly #window = new Uint8Array(FRAME_BYTES_MAX);
  #held = 0;
  #expected: { readonly unit: number; readonly code: number; readonly bytes: number } | null = null;
  heard = false;

  constructor(byteMs: number, silenceMs: number) {
    this.#byteMs = byteMs;
    this.silenceMs = silenceMs;
  }

  request(unit: number, pdu: Uint8Array): Uint8Array {
    this.reset();
    this.#expected = { unit, code: pdu[0] ?? 0, bytes: answerBytes(pdu) };
    const frame = new Uint8Array(1 + pdu.length + 2);
    frame[0] = unit;
    frame.set(pdu, 1);
    const crc = check?.compute(frame, 0, 1 + pdu.length) ?? 0;
    frame[frame.length - 2] = crc & 0xff;
    frame[frame.length - 1] = crc >> 8;
    return frame;
  }

  push(chunk: Uint8Array): Uint8Array | null {
    if (this.#expected === null) return null;
    this.heard ||= chunk.length > 0;
    for (let from = 0; from < chunk.length; ) {
      const count = Math.min(chunk.length - from, FRAME_BYTES_MAX);
      this.#take(chunk.subarray(from, from + count));
      from += count;
      const found = this.#find();
      if (found !== null) {
        this.reset();
        return found;
      }
    }
    return null;
  }

  reset(): void {
    this.#expected = null;
    this.#held = 0;
    this.heard = false;
  }

  lineMs(bytes: number): number {
    return bytes * this.#byteMs;
  }

  /** The oldest bytes make room: an answer is never longer than the window. */
  #take(piece: Uint8Array): void {
    const over = Math.max(0, this.#held + piece.length - FRAME_BYTES_MAX);
    this.#window.copyWithin(0, over, this.#held);
    this.#held -= over;
    this.#window.set(piece, this.#held);
    this.#held += piece.length;
  }

  #find(): Uint8Array | null {
    const { unit, code, bytes } = this.#expected ?? { unit: -1, code: 0, bytes: 0 };
    for (let start = 0; start + 1 < this.#held; start++) {
      if (this.#window[start] !== unit) continue;
      const said = this.#window[start + 1];
      const pduBytes = said === code ? bytes : said === (code | 0x80) ? EXCEPTION_BYTES : 0;
      const end = start + 1 + pduBytes + 2;
      if (pduBytes === 0 || end > this.#held) continue;
      if (hasBinaryCheck(check, this.#window, start, end)) {
        return this.#window.slice(start + 1, end - 2);
      }
    }
    return null;
  }
}
