import { FieldgateError } from "../base/errors.ts";

/** Why a port is not open, as an operator has to know it. */
export type PortTrouble =
  | "no-such-port"
  | "permission-denied"
  | "busy"
  | "ambiguous"
  | "not-recognised"
  | "unplugged"
  | "connection-refused"
  | "unreachable"
  | "timeout"
  | "nonsense"
  | "not-taken"
  | "failed";

/** What an open port tells, from the moment `resume` was first called. */
export interface PortListener {
  /** Bytes as they arrive; the chunk is not used again. */
  data(chunk: Uint8Array): void;
  /** The port is gone without our doing; said once, and nothing after it. */
  lost(error: FieldgateError): void;
}

export interface OpenPort {
  /** Bytes are left where they are until `resume`. A chunk that is being given out already may still come. */
  pause(): void;
  resume(): void;
  /** Resolves when the system has taken the bytes; rejects with ERR_DEVICE_OPEN when the port goes away before. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the port is free for others. Says no `lost`. What the system has not taken yet of a write is not sent any more. */
  close(): Promise<void>;
}

/** Where a device is plugged in. Can be opened again after it was lost or closed. */
export interface Port {
  /** Opens it, paused. Rejects with ERR_DEVICE_OPEN or ERR_DEVICE_AMBIGUOUS and details.trouble; gives up when the signal aborts. */
  open(listener: PortListener, signal: AbortSignal): Promise<OpenPort>;
}

/** ERR_DEVICE_OPEN, or ERR_DEVICE_AMBIGUOUS: what happened to the port and what to do. `cause` is what the system said. */
export function portError(trouble: PortTrouble, port: string, cause?: unknown): FieldgateError {
  const code = trouble === "ambiguous" ? "ERR_DEVICE_AMBIGUOUS" : "ERR_DEVICE_OPEN";
  return new FieldgateError(code, `${port}: ${ADVICE[trouble]}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { port, trouble },
  });
}

/** The trouble that an error of a port states; failed for any other error. */
export function troubleOf(error: unknown): PortTrouble {
  const trouble = error instanceof FieldgateError ? error.details["trouble"] : undefined;
  return typeof trouble === "string" && trouble in ADVICE ? (trouble as PortTrouble) : "failed";
}

/** A trouble in words, and what to do. */
export function portAdvice(trouble: PortTrouble): string {
  return ADVICE[trouble];
}

const ADVICE: Record<PortTrouble, string> = {
  "no-such-port": "there is no such port; plug the adapter in, or correct `port`",
  "permission-denied": "permission denied; add the service's user to the group dialout",
  busy: "held by another process; stop it (fuser shows which)",
  ambiguous:
    "several adapters answer to this name, and nobody knows which is meant; name it by /dev/serial/by-path",
  "not-recognised": "the device was recognised on none of these ports; is it on, is `probe` right?",
  unplugged: "the port went away; check the cable",
  "connection-refused":
    "the serial server refuses the connection; is it running, is its port taken?",
  unreachable: "the serial server cannot be reached; check the network",
  nonsense: "what comes from there is no Modbus TCP; correct `modbus.framing` or the address",
  "not-taken":
    "the far end takes nothing of what is written; does its flow control, or its serial server, hold it up?",
  timeout: "did not open in time",
  failed: "cannot be used",
};
