/** Why bytes that a framer saw did not become a frame. Each refusal stands for one frame that was lost. */
export type FrameRefusal =
  /** More bytes than the bound, and no end. */
  | "too-long"
  /** The check value at the end does not belong to the bytes before it. */
  | "checksum"
  /** Breaks a rule of the encoding. */
  | "malformed"
  /** Begun, and not complete in time. */
  | "timeout"
  /** Begun, and the line was closed. */
  | "incomplete"
  /** Bytes before the first delimiter after opening: perhaps the end of a frame whose beginning nobody heard. */
  | "unsynchronised";

/** Where a framer puts what it finds, in the order of the bytes. */
export interface FrameSink {
  /** A whole frame, checked, without delimiter, prefix and check value. The bytes are the receiver's to keep. */
  frame(bytes: Uint8Array): void;
  refuse(reason: FrameRefusal): void;
}

/**
 * Tells frames apart in a stream of bytes. Pure and incremental: at one time, any slicing of the same bytes gives
 * the same frames and refusals; memory is bounded when it is made and never grows, whatever the line says.
 */
export interface Framer {
  /** Takes bytes that arrived at `nowMs` (monotonic). Keeps no reference to the chunk. */
  push(chunk: Uint8Array, nowMs: number): void;
  /** Time passes: refuses a frame that was begun and is late. */
  expire(nowMs: number): void;
  /** The line was opened or closed: what is half there is refused, nothing before counts. */
  reset(nowMs: number): void;
}
