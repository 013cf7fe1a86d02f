/** Where a serial sensor's cable ends: a pseudo-terminal or a serial server. */
export interface Plug {
  /** What a gateway is configured with: a path, or tcp://host:port. The same after each `plugIn`. */
  readonly port: string;
  /** Puts bytes on the cable now. False when nobody takes them: pulled, not connected, or overrun; they are lost, as on a UART. */
  write(bytes: Uint8Array): boolean;
  /** From now on `listener` gets the bytes that the far side sends. */
  hear(listener: (bytes: Uint8Array) => void): void;
  plugIn(): Promise<void>;
  /** Resolves when the far side sees the end. */
  pull(): Promise<void>;
}
