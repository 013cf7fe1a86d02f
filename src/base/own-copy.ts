/** A copy to keep. It is not of Buffer's pool: a few bytes that stay would keep eight KiB of it. */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
