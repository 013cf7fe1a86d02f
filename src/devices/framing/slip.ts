/** SLIP, RFC 1055: a frame ends with END; END and ESC within it are escaped. */
export const SLIP_END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/**
 * What stood between two ENDs, without escapes; null when ESC is followed by something that the RFC does not define.
 * The RFC leaves such a byte in the packet; a gateway that promises readings refuses it.
 */
export function unslip(raw: Uint8Array): Uint8Array | null {
  const bytes = new Uint8Array(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; i++) {
    let byte = raw[i] ?? 0;
    if (byte === ESC) {
      const escaped = raw[++i];
      if (escaped === ESC_END) byte = SLIP_END;
      else if (escaped === ESC_ESC) byte = ESC;
      else return null;
    }
    bytes[length++] = byte;
  }
  return bytes.subarray(0, length);
}
