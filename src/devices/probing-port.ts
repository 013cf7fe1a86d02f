import type { Clock } from "../base/clock.ts";
import type { FieldgateError } from "../base/errors.ts";
import { type OpenPort, type Port, type PortListener, portError, troubleOf } from "./port.ts";

/** Listens to what a port says until it is sure. */
export interface Recogniser {
  /** True from when the bytes show that this is the device. */
  push(chunk: Uint8Array, nowMs: number): boolean;
}

export interface Probe {
  /** As configured: a pattern. */
  readonly address: string;
  readonly listenMs: number;
  readonly paths: () => Promise<readonly string[]>;
  readonly portAt: (path: string) => Port;
  readonly recogniser: () => Recogniser;
}

/** What one port said while it was listened to, kept for whoever gets it; older bytes go first. */
const HELD_BYTES_MAX = 65_536;

/**
 * The port of a device whose adapter has no name that stays the same: all ports that match a pattern are opened and listened to for
 * `listenMs`, and nothing is written to any of them. It is the one on which the device was recognised. On two of them: then nobody
 * knows which is meant, and neither is taken.
 */
export function probingPort(probe: Probe, clock: Clock): Port {
  return {
    async open(listener, signal) {
      const paths = await probe.paths();
      signal.throwIfAborted();
      if (paths.length === 0) throw portError("no-such-port", probe.address);
      const tries = paths.map((path) => new Trial(path, probe, clock));
      try {
        await Promise.all(tries.map((each) => each.begin(signal)));
        await clock.sleep(probe.listenMs, signal);
        return await found(tries, probe.address, listener);
      } catch (error) {
        await Promise.all(tries.map((each) => each.close()));
        throw error;
      }
    },
  };
}

async function found(
  tries: readonly Trial[],
  address: string,
  listener: PortListener,
): Promise<OpenPort> {
  const [first, ...more] = tries.filter((each) => each.isRecognised);
  const told = tries.map(({ path, outcome }) => `${path}: ${outcome}`).join(", ");
  if (first === undefined) throw portError("not-recognised", address, new Error(told));
  if (more.length > 0) throw portError("ambiguous", address, new Error(told));
  await Promise.all(tries.filter((each) => each !== first).map((each) => each.close()));
  return first.handOver(listener);
}

/** One port that is listened to. */
class Trial {
  readonly path: string;
  isRecognised = false;
  outcome = "silent";
  readonly #port: Port;
  readonly #clock: Clock;
  readonly #recogniser: Recogniser;
  #opened: OpenPort | null = null;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #lost: FieldgateError | null = null;
  #listener: PortListener | null = null;

  constructor(path: string, probe: Probe, clock: Clock) {
    this.path = path;
    this.#port = probe.portAt(path);
    this.#clock = clock;
    this.#recogniser = probe.recogniser();
  }

  /** A port that cannot be opened, because another device has it, is none. */
  async begin(signal: AbortSignal): Promise<void> {
    const listener = {
      data: (chunk: Uint8Array) => this.#hear(chunk),
      lost: (error: FieldgateError) => this.#lose(error),
    };
    try {
      this.#opened = await this.#port.open(listener, signal);
      this.#opened.resume();
    } catch (error) {
      signal.throwIfAborted();
      this.outcome = troubleOf(error);
    }
  }

  /** From now on the port is the listener's, with what was heard up to here. */
  handOver(listener: PortListener): OpenPort {
    const opened = this.#opened;
    if (opened === null || this.#lost !== null) {
      throw this.#lost ?? portError("unplugged", this.path);
    }
    opened.pause();
    this.#listener = listener;
    return {
      pause: () => opened.pause(),
      resume: () => {
        for (const chunk of this.#held.splice(0)) listener.data(chunk);
        opened.resume();
      },
      write: (bytes) => opened.write(bytes),
      close: () => opened.close(),
    };
  }

  async close(): Promise<void> {
    await this.#opened?.close();
  }

  #hear(chunk: Uint8Array): void {
    if (this.#listener !== null && this.#held.length === 0) {
      this.#listener.data(chunk);
      return;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    while (this.#heldBytes > HELD_BYTES_MAX && this.#held.length > 1) {
      this.#heldBytes -= this.#held.shift()?.length ?? 0;
    }
    if (this.#listener !== null || this.isRecognised) return;
    this.isRecognised = this.#recogniser.push(chunk, this.#clock.monotonicMs());
    this.outcome = this.isRecognised ? "recognised" : "another device";
  }

  #lose(error: FieldgateError): void {
    this.outcome = troubleOf(error);
    this.isRecognised = false;
    this.#lost = error;
    this.#listener?.lost(error);
  }
}
