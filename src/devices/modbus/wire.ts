/** What a Modbus master's bytes look like on its line: RTU on a serial one, MBAP over TCP. Pure and bounded. */
export interface Wire {
  /** The bytes of a request. From now on its answer is looked for, and no other. */
  request(unit: number, pdu: Uint8Array): Uint8Array;
  /** Takes bytes; the answer's PDU once it is whole and right, "broken" when nothing can be right any more. */
  push(chunk: Uint8Array): Uint8Array | "broken" | null;
  /** Whether anything came since the request. */
  readonly heard: boolean;
  /** No answer is looked for any more. */
  reset(): void;
  /** How long so many bytes are on the line. */
  lineMs(bytes: number): number;
  /** How long the line must have been silent before a request. */
  readonly silenceMs: number;
}
