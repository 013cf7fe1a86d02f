import type { Wire } from "./wire.ts";

/** Transaction, protocol, length, unit [MODBUS Messaging on TCP/IP V1.0b, 3.1.3]. */
const HEADER_BYTES = 7;
const PDU_BYTES_MAX = 253;

/** Modbus TCP, the master's side. An answer belongs to a request by the transaction's number: a late one is let go. */
export function mbapWire(): Wire {
  return new MbapWire();
}

class MbapWire implements Wire {
  readonly silenceMs = 0;
  readonly #window = new Uint8Array(2 * (HEADER_BYTES + PDU_BYTES_MAX));
  #held = 0;
  #transaction = 0;
  #expected: { readonly transaction: number; readonly unit: number } | null = null;
  heard = false;

  request(unit: number, pdu: Uint8Array): Uint8Array {
    this.#transaction = (this.#transaction + 1) & 0xffff;
    this.#expected = { transaction: this.#transaction, unit };
    this.heard = false;
    const frame = new Uint8Array(HEADER_BYTES + pdu.length);
    const view = new DataView(frame.buffer);
    view.setUint16(0, this.#transaction);
    view.setUint16(4, 1 + pdu.length);
    view.setUint8(6, unit);
    frame.set(pdu, HEADER_BYTES);
    return frame;
  }

  push(chunk: Uint8Array): Uint8Array | "broken" | null {
    let answer: Uint8Array | null = null;
    this.heard ||= chunk.length > 0;
    for (let from = 0; from < chunk.length; ) {
      const count = Math.min(chunk.length - from, this.#window.length - this.#held);
      this.#window.set(chunk.subarray(from, from + count), this.#held);
      this.#held += count;
      from += count;
      for (let next = this.#next(); next !== null; next = this.#next()) {
        if (next === "broken") return next;
        answer ??= next.answer;
      }
    }
    return answer;
  }

  /** Bytes that are half there stay: a stream goes on where it was. */
  reset(): void {
    this.#expected = null;
    this.heard = false;
  }

  lineMs(): number {
    return 0;
  }

  /** The next whole frame, with the answer when it is the one that is looked for; null when none is whole. */
  #next(): { readonly answer: Uint8Array | null } | "broken" | null {
    if (this.#held < HEADER_BYTES) return null;
    const view = new DataView(this.#window.buffer);
    const length = view.getUint16(4);
    if (view.getUint16(2) !== 0 || length < 2 || length > 1 + PDU_BYTES_MAX) return "broken";
    const end = HEADER_BYTES - 1 + length;
    if (this.#held < end) return null;
    const expected = this.#expected;
    const isIt = view.getUint16(0) === expected?.transaction && view.getUint8(6) === expected.unit;
    const answer = isIt ? this.#window.slice(HEADER_BYTES, end) : null;
    if (isIt) this.#expected = null;
    this.#window.copyWithin(0, end, this.#held);
    this.#held -= end;
    return { answer };
  }
}
