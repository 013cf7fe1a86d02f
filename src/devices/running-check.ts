/**
 * Check values of many pieces of one stream, each in time that does not grow with the piece. A framer that looks for frames in noise asks
 * at every byte whether a frame begins there; computed anew each time, that costs a frame's length a byte.
 *
 * One state runs along the bytes, from 0. For XOR and sum the value of a piece is what lies between the states at its ends. A CRC is
 * linear: the state at the end, less the state at the beginning (and the CRC's initial value) carried over as many zero bytes as the
 * piece is long. What that makes of each byte of a state is a
 * table for each hexadecimal digit of the length (zlib's crc32_combine rests on the same).
 */
export interface RunningCheck {
  /** Sets states[i + 1] from states[i] and bytes[i], for `from` <= i < `to`. */
  extend(states: Int32Array, bytes: Uint8Array, from: number, to: number): void;
  /**
   * The check value of `length` bytes, from the states before the first and after the last of them. Signed: 32 bits without a sign
   * would be put on the heap for each byte of noise.
   */
  between(before: number, after: number, length: number): number;
}

export interface CrcRule {
  readonly bits: 16 | 32;
  /** Of 256: what a byte makes of a state of 0. */
  readonly table: Uint32Array;
  /** True: least significant bit first. */
  readonly reflected: boolean;
  readonly initial: number;
  /** The value is the state, XOR this. */
  readonly final: number;
}

/** @param lengthMax of the longest piece that will be asked for */
export function runningCrc(rule: CrcRule, lengthMax: number): RunningCheck {
  const { table, reflected, bits, initial, final } = rule;
  const step = reflected
    ? (state: number, byte: number) => (state >>> 8) ^ (table[(state ^ byte) & 0xff] ?? 0)
    : (state: number, byte: number) => ((state << 8) & 0xffff) ^ (table[(state >>> 8) ^ byte] ?? 0);
  const zeros = zeroTables((state) => step(state, 0), bits / 8, lengthMax);
  const carry = bits === 16 ? carriedOver16 : carriedOver32;
  return {
    extend(states, bytes, from, to) {
      let state = states[from] ?? 0;
      for (let i = from; i < to; i++) {
        state = step(state, bytes[i] ?? 0);
        states[i + 1] = state;
      }
    },
    between: (before, after, length) => carry(zeros, before ^ initial, length) ^ after ^ final,
  };
}

export const runningXor: RunningCheck = {
  extend(states, bytes, from, to) {
    for (let i = from; i < to; i++) states[i + 1] = (states[i] ?? 0) ^ (bytes[i] ?? 0);
  },
  between: (before, after) => before ^ after,
};

export const runningSum: RunningCheck = {
  extend(states, bytes, from, to) {
    for (let i = from; i < to; i++) states[i + 1] = ((states[i] ?? 0) + (bytes[i] ?? 0)) & 0xff;
  },
  between: (before, after) => (after - before) & 0xff,
};

type Tables = Uint16Array | Int32Array;

/**
 * For each hexadecimal digit of a length, for each value of it, for each byte of a state: what becomes of that byte over so many
 * zero bytes.
 */
function zeroTables(step: (state: number) => number, lanes: number, lengthMax: number): Tables {
  const digits = Math.floor(Math.log2(Math.max(1, lengthMax)) / 4) + 1;
  const entries = digits * 16 * lanes * 256;
  // Half as large where it can be: the tables then stay in the processor's nearest cache.
  const tables = lanes === 2 ? new Uint16Array(entries) : new Int32Array(entries);
  const carry = lanes === 2 ? carriedOver16 : carriedOver32;
  let unit = step;
  for (let digit = 0, at = 0; digit < digits; digit++) {
    for (let value = 0; value < 16; value++) {
      for (let lane = 0; lane < lanes; lane++) {
        for (let byte = 0; byte < 256; byte++, at++) {
          const before = tables[at - lanes * 256] ?? 0;
          tables[at] = value === 0 ? byte << (8 * lane) : unit(before);
        }
      }
    }
    const length = 16 ** (digit + 1) - 16 ** digit;
    const last = unit;
    unit = (state) => last(carry(tables, state, length));
  }
  return tables;
}

function carriedOver16(tables: Tables, state: number, length: number): number {
  let carried = state;
  for (let left = length, at = 0; left > 0; left >>>= 4, at += 16 * 512) {
    if ((left & 15) === 0) continue;
    const from = at + (left & 15) * 512;
    carried = (tables[from + (carried & 0xff)] ?? 0) ^ (tables[from + 256 + (carried >>> 8)] ?? 0);
  }
  return carried;
}

function carriedOver32(tables: Tables, state: number, length: number): number {
  let carried = state;
  for (let left = length, at = 0; left > 0; left >>>= 4, at += 16 * 1024) {
    if ((left & 15) === 0) continue;
    const from = at + (left & 15) * 1024;
    carried =
      (tables[from + (carried & 0xff)] ?? 0) ^
      (tables[from + 256 + ((carried >>> 8) & 0xff)] ?? 0) ^
      (tables[from + 512 + ((carried >>> 16) & 0xff)] ?? 0) ^
      (tables[from + 768 + (carried >>> 24)] ?? 0);
  }
  return carried;
}
