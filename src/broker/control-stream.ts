import { Duplex } from "node:stream";

/** The one behind a control stream: a connection. */
export interface ControlPeer {
  /** Bytes that aedes sends to the client. */
  controlSays(bytes: Buffer): void;
  /** aedes has finished with the client: it said goodbye, was refused, taken over or in error. */
  controlEnded(): void;
}

/**
 * A client as aedes sees it: control packets only. What aedes writes goes to the connection; when aedes destroys the
 * stream, the connection ends.
 */
export class ControlStream extends Duplex {
  readonly peer: ControlPeer;

  constructor(peer: ControlPeer) {
    super({ readableHighWaterMark: 16_384, writableHighWaterMark: 16_384, emitClose: true });
    this.peer = peer;
  }

  /** One whole control packet from the client. */
  feed(packet: Buffer): void {
    if (!this.destroyed) this.push(packet);
  }

  override _read(): void {}

  /** What is written goes to the outbox at once, which gathers it: held back, SUBACK would come after what it announces. */
  override cork(): void {}
  override uncork(): void {}

  override _write(chunk: Buffer, _encoding: string, taken: (error?: Error | null) => void): void {
    this.peer.controlSays(chunk);
    taken();
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    this.peer.controlEnded();
    done();
  }
}
