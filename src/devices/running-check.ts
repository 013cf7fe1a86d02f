/**
 * Whether a piece of a stream ends with its own check value, for every piece, each in the time of one comparison. A framer that looks
 * for frames in noise asks at every byte whether a frame begins there; computed anew each time, that costs a frame's length a byte.
 *
 * Two numbers a byte tell it: what a frame that begins there must have behind it, and what one that ends there has. For XOR both are the
 * XOR of all bytes before: over a frame and its check value it comes back to where it was. For a sum likewise, less the last byte twice.
 *
 * A CRC shifts its state with each byte, so its states at two places cannot be compared. What can is the state shifted back to
 * where the stream began: then a byte only adds to it, its eight bits times the power of x of its place. The register's initial value and
 * its residue (what is left over of a frame with its right check value, always the same) are shifted back alike.
 */
export interface RunningCheck {
  /** What a frame must have behind it that begins with the stream. */
  readonly first: number;
  /**
   * Takes bytes[i] for `from` <= i < `to`, the next ones of the stream, into begins[i + 1] and ends[i + 1]. A frame in bytes[start] to
   * bytes[end - 1], with its check value, is right when begins[start] is ends[end].
   */
  extend(begins: Int32Array, ends: Int32Array, bytes: Uint8Array, from: number, to: number): void;
}

export interface CrcRule {
  readonly bits: 16 | 32;
  /** As for least significant bit first. */
  readonly polynomial: number;
  /** False: most significant bit first. The same with each byte's bits turned round. */
  readonly reflected: boolean;
  readonly initial: number;
  /** The value is the register, XOR this. */
  readonly final: number;
}

export function runningCrc(rule: CrcRule): RunningCheck {
  return new RunningCrc(rule);
}

/** Registers stand in the upper bits: then those of 16 bits and of 32 are shifted back by the same steps. */
class RunningCrc implements RunningCheck {
  readonly first: number;
  readonly #order: Uint8Array;
  /** One step back of a register whose highest bit is set. */
  readonly #back: number;
  /** Eight steps back, of the highest byte. */
  readonly #backByte: Int32Array;
  /** Of the whole stream, shifted back. */
  #state = 0;
  /** The lowest bit of a byte that comes now, and the register's initial value and its residue, shifted back. */
  #unit: number;
  #initial: number;
  #residue: number;

  constructor({ bits, polynomial, reflected, initial, final }: CrcRule) {
    const up = 32 - bits;
    this.#order = reflected ? AS_THEY_ARE : TURNED_ROUND;
    this.#back = ((polynomial << 1) | 1) << up;
    this.#backByte = Int32Array.from({ length: 256 }, (_, byte) => {
      let state = byte << 24;
      for (let bit = 0; bit < 8; bit++) state = (state << 1) ^ ((state >> 31) & this.#back);
      return state;
    });
    this.#unit = 1 << up;
    this.#initial = initial << up;
    this.#residue = shifted(final, polynomial, bits) << up;
    this.first = this.#initial;
  }

  extend(begins: Int32Array, ends: Int32Array, bytes: Uint8Array, from: number, to: number): void {
    const order = this.#order;
    const back = this.#back;
    const backByte = this.#backByte;
    let state = this.#state;
    let unit = this.#unit;
    let initial = this.#initial;
    let residue = this.#residue;
    for (let i = from; i < to; i++) {
      let byte = order[bytes[i] ?? 0] ?? 0;
      for (let bit = 0; bit < 8; bit++) {
        state ^= unit & -(byte & 1);
        unit = (unit << 1) ^ ((unit >> 31) & back);
        byte >>= 1;
      }
      initial = (initial << 8) ^ (backByte[initial >>> 24] ?? 0);
      residue = (residue << 8) ^ (backByte[residue >>> 24] ?? 0);
      begins[i + 1] = state ^ initial;
      ends[i + 1] = state ^ residue;
    }
    this.#state = state;
    this.#unit = unit;
    this.#initial = initial;
    this.#residue = residue;
  }
}

export function runningXor(): RunningCheck {
  let state = 0;
  return {
    first: 0,
    extend(begins, ends, bytes, from, to) {
      for (let i = from; i < to; i++) {
        state ^= bytes[i] ?? 0;
        begins[i + 1] = state;
        ends[i + 1] = state;
      }
    },
  };
}

export function runningSum(): RunningCheck {
  let state = 0;
  return {
    first: 0,
    extend(begins, ends, bytes, from, to) {
      for (let i = from; i < to; i++) {
        const byte = bytes[i] ?? 0;
        ends[i + 1] = (state - byte) & 0xff;
        state = (state + byte) & 0xff;
        begins[i + 1] = state;
      }
    },
  };
}

/** A register over as many zero bits as it has. */
function shifted(register: number, polynomial: number, bits: number): number {
  let state = register;
  for (let bit = 0; bit < bits; bit++) {
    state = (state & 1) === 1 ? (state >>> 1) ^ polynomial : state >>> 1;
  }
  return state;
}

const AS_THEY_ARE = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const TURNED_ROUND = Uint8Array.from({ length: 256 }, (_, byte) => {
  let turned = 0;
  for (let bit = 0; bit < 8; bit++) turned |= ((byte >> bit) & 1) << (7 - bit);
  return turned;
});
