import type { ModbusFieldConfig } from "../../config/schema.ts";

/** Requests and answers after the MODBUS Application Protocol Specification V1.1b3, section 6. Pure. */
export type Table = ModbusFieldConfig["table"];

const READ: Readonly<Record<Table, number>> = { coil: 1, discrete: 2, holding: 3, input: 4 };
const WRITE_COIL = 5;
const WRITE_REGISTER = 6;
const WRITE_REGISTERS = 16;
const EXCEPTION = 0x80;

/** True for the tables of single bits. */
export function isBits(table: Table): boolean {
  return table === "coil" || table === "discrete";
}

/** A request for `count` registers or bits from `start`. */
export function readRequest(table: Table, start: number, count: number): Uint8Array {
  return pdu(READ[table], start, count);
}

/** A request that sets one coil. */
export function writeCoil(register: number, on: boolean): Uint8Array {
  return pdu(WRITE_COIL, register, on ? 0xff00 : 0);
}

/** A request that sets registers from `start`: function 6 for one, 16 for more. At most 123 [6.12]. */
export function writeRegisters(start: number, values: readonly number[]): Uint8Array {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return pdu(WRITE_REGISTER, start, only);
  const bytes = new Uint8Array(6 + 2 * values.length);
  bytes.set(pdu(WRITE_REGISTERS, start, values.length));
  const view = new DataView(bytes.buffer);
  view.setUint8(5, 2 * values.length);
  for (const [i, value] of values.entries()) view.setUint16(6 + 2 * i, value);
  return bytes;
}

/** Bytes of the answer to a request when it is none of an exception. */
export function answerBytes(request: Uint8Array): number {
  return isRead(request) ? 2 + contentBytes(request) : 5;
}

/** Bytes of an answer that is an exception: function and code. */
export const EXCEPTION_BYTES = 2;

export type Answer =
  | { readonly is: "answer"; readonly content: Uint8Array }
  | { readonly is: "exception"; readonly code: number };

/** What `answer` says to `request`; null when it is no answer to it. */
export function answerTo(request: Uint8Array, answer: Uint8Array): Answer | null {
  const code = request[0] ?? 0;
  if (answer[0] === (code | EXCEPTION)) {
    return answer.length === EXCEPTION_BYTES ? { is: "exception", code: answer[1] ?? 0 } : null;
  }
  if (answer[0] !== code || answer.length !== answerBytes(request)) return null;
  if (isRead(request)) {
    const right = answer[1] === contentBytes(request);
    return right ? { is: "answer", content: answer.slice(2) } : null;
  }
  // A write is answered with its own address and value, or address and count [6.5, 6.6, 6.12].
  const echoed = answer.every((byte, i) => byte === request[i]);
  return echoed ? { is: "answer", content: new Uint8Array(0) } : null;
}

/** What an exception code means [7]. */
export function exceptionText(code: number): string {
  return EXCEPTIONS[code] ?? "unknown exception";
}

const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: "illegal function",
  2: "illegal data address",
  3: "illegal data value",
  4: "server device failure",
  5: "acknowledge",
  6: "server device busy",
  8: "memory parity error",
  10: "gateway path unavailable",
  11: "gateway target device failed to respond",
};

function isRead(request: Uint8Array): boolean {
  return (request[0] ?? 0) <= 4;
}

function contentBytes(request: Uint8Array): number {
  const count = ((request[3] ?? 0) << 8) | (request[4] ?? 0);
  return (request[0] ?? 0) <= 2 ? Math.ceil(count / 8) : 2 * count;
}

function pdu(code: number, first: number, second: number): Uint8Array {
  return Uint8Array.of(code, first >> 8, first & 0xff, second >> 8, second & 0xff);
}
