import type { Clock } from "../../src/base/clock.ts";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Random } from "../../src/base/random.ts";
import type { Channel, ChannelReceiver, PeerNetwork } from "../../src/replica/ports.ts";

type Accept = (channel: Channel, gateway: string) => ChannelReceiver;

/** The network of a simulated site: frames take a while; hosts are cut off, silently or not; connections die. */
export class SimNetwork {
  /** Hosts that nothing reaches and that reach nothing: what they send is lost, and nobody is told. */
  readonly cutOff = new Set<string>();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #listening = new Map<string, Accept>();
  readonly #pipes = new Set<Pipe>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The network as one start of a gateway sees it; its address is its id. */
  of(id: string): PeerNetwork {
    return {
      dial: (address, _gateway, receiver) => this.#dial(id, address, receiver),
      listen: async (accept) => {
        this.#listening.set(id, accept);
        return id;
      },
      close: async () => this.kill(id),
    };
  }

  /** The process at this host is gone: nobody is told there; the others hear of it, unless the host is cut off. */
  kill(id: string): void {
    this.#listening.delete(id);
    for (const pipe of [...this.#pipes]) if (pipe.ends.includes(id)) this.#reset(pipe, id);
  }

  /** One connection dies. */
  breakOne(): void {
    const pipes = [...this.#pipes];
    const pipe = pipes[Math.floor(this.#random() * pipes.length)];
    if (pipe !== undefined) this.#reset(pipe, null);
  }

  #dial(from: string, to: string, receiver: ChannelReceiver): Channel {
    const pipe: Pipe = {
      ends: [from, to],
      receivers: [receiver, null],
      isOver: false,
      dueMs: [0, 0],
    };
    this.#pipes.add(pipe);
    this.#later(pipe, 0, () => {
      const accept = this.#listening.get(to);
      if (accept === undefined) return this.#reset(pipe, to, NOBODY);
      const accepted = accept(this.#end(pipe, 1), from);
      pipe.receivers[1] = accepted;
      accepted.opened();
      this.#later(pipe, 1, () => receiver.opened());
    });
    return this.#end(pipe, 0);
  }

  #end(pipe: Pipe, side: 0 | 1): Channel {
    return {
      pendingBytes: 0,
      send: (...frames) => {
        if (pipe.isOver) return;
        for (const frame of frames)
          this.#later(pipe, side, () => pipe.receivers[side === 0 ? 1 : 0]?.frame(frame));
      },
      pause: () => undefined,
      resume: () => undefined,
      close: () => {
        pipe.receivers[side] = null;
        this.#later(pipe, side, () => this.#reset(pipe, pipe.ends[side]));
      },
    };
  }

  /** From that side to the other one, in order. A frame that is lost takes all that follow with it. */
  #later(pipe: Pipe, side: 0 | 1, act: () => void): void {
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.max(pipe.dueMs[side], nowMs + 0.2 + this.#random() ** 3 * 60);
    pipe.dueMs[side] = dueMs;
    void this.#clock.sleep(dueMs - nowMs).then(() => {
      if (pipe.isOver) return;
      if (pipe.isDeaf || pipe.ends.some((id) => this.cutOff.has(id))) pipe.isDeaf = true;
      else act();
    });
  }

  #reset(pipe: Pipe, by: string | null, why = BROKEN): void {
    if (pipe.isOver) return;
    pipe.isOver = true;
    this.#pipes.delete(pipe);
    const isHeard = !pipe.isDeaf && !pipe.ends.some((id) => this.cutOff.has(id));
    for (const [side, id] of pipe.ends.entries()) {
      if (id === by || !isHeard) continue;
      pipe.receivers[side]?.closed(why);
    }
  }
}

const BROKEN = new FieldgateError("ERR_PEER_CLOSED", "the connection broke");
const NOBODY = new FieldgateError("ERR_PEER_GONE", "nobody listens there");

interface Pipe {
  readonly ends: readonly [string, string];
  readonly receivers: [ChannelReceiver | null, ChannelReceiver | null];
  readonly dueMs: [number, number];
  isOver: boolean;
  /** Something was lost: nothing gets through any more. */
  isDeaf?: boolean;
}
