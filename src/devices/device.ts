import { fullJitter } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import { type Decoder, decoderFor } from "./decode.ts";
import type { Framer } from "./framing/framer.ts";
import { framerFor } from "./framing.ts";
import { Intake } from "./intake.ts";
import { LineClock } from "./line-clock.ts";
import { type Link, type LinkEvent, type LinkTiming, nextLink } from "./link.ts";
import { type Identity, type Mapper, mapperFor } from "./mapping.ts";
import { netPort } from "./net-port.ts";
import { type OpenPort, type Port, type PortTrouble, troubleOf } from "./port.ts";
import { serialPort } from "./serial-port.ts";

/** Where a device's messages go. */
export interface DeviceSink {
  /** Resolves when the message is as safe as its QoS asks; rejects when it was refused. Called in the order of the frames. */
  admit(message: Message): Promise<void>;
}

/** The bounds among the configuration's keys, which tests tighten. */
export type DeviceLimits = Pick<
  DeviceConfig,
  "inflightMax" | "readingsMax" | "openTimeoutMs" | "backoffFirstMs" | "backoffMaxMs" | "stableMs"
>;

export interface DeviceTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: Identity;
  readonly sink: DeviceSink;
  readonly limits?: Partial<DeviceLimits>;
  /** In place of the port that the configuration names. */
  readonly port?: Port;
}

/** frames = accepted + the sum of refused + inflight, always. */
export interface DeviceCounters {
  /** Bytes read from the port. */
  readonly bytes: number;
  /** Frames found, and those that were begun and lost. */
  readonly frames: number;
  /** Frames of which the sink has taken every message. */
  readonly accepted: number;
  /** Frames by the reason for which they were refused: by framing, decoding, mapping, or the code of the sink's error. */
  readonly refused: Readonly<Record<string, number>>;
  /** Frames of which a message waits for the sink. */
  readonly inflight: number;
  /** Messages that the sink has taken. */
  readonly messages: number;
  /** Times that the port was opened again. */
  readonly reopened: number;
  /** Times that the port was paused because the sink was full. */
  readonly paused: number;
}

export interface DeviceStatus {
  readonly name: string;
  readonly port: string;
  readonly state: Link["at"];
  /** Why it is not open; null when it is, or was never tried. */
  readonly reason: PortTrouble | null;
  /** Wall time of the last good frame, in milliseconds since 1970; null before the first. */
  readonly lastFrameMs: number | null;
  readonly counters: DeviceCounters;
}

export interface Device extends Service {
  status(): DeviceStatus;
}

/** How often the link and the framer are told the time. */
const TICK_MS = 50;
/** Ticks further apart than this mean that the process was busy, not that the line was silent. */
const STEP_MS_MAX = 4 * TICK_MS;

/**
 * The way of a frame: port, framer, check, decoder, mapping, sink. ERR_CONFIG_INVALID when the configuration does not
 * hold together. `start` does not wait for the port: a sensor that is unplugged keeps no gateway from starting.
 */
export function device(config: DeviceConfig, tools: DeviceTools): Device {
  return new LinkedDevice(config, tools);
}

class LinkedDevice implements Device {
  readonly name: string;
  readonly #config: DeviceConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #timing: LinkTiming;
  readonly #port: Port;
  readonly #framer: Framer;
  readonly #decode: Decoder;
  readonly #map: Mapper;
  readonly #intake: Intake;
  readonly #line = new LineClock(STEP_MS_MAX);
  #link: Link = { at: "closed" };
  #opening = new AbortController();
  #opened: OpenPort | null = null;
  #unsettled = new Set<Promise<void>>();
  #stopTicking = () => {};
  #logged: PortTrouble | "open" | null = null;
  #bytes = 0;
  #openings = 0;
  #lastFrameMs: number | null = null;

  constructor(config: DeviceConfig, tools: DeviceTools) {
    const limits = { ...config, ...tools.limits };
    this.name = `device ${config.name}`;
    this.#config = config;
    this.#clock = tools.clock;
    this.#log = tools.log.part("devices");
    this.#timing = {
      backoffMs: (attempt) =>
        fullJitter(
          attempt,
          { firstMs: limits.backoffFirstMs, maxMs: limits.backoffMaxMs },
          tools.random,
        ),
      openTimeoutMs: limits.openTimeoutMs,
      stableMs: limits.stableMs,
    };
    this.#port =
      tools.port ??
      (config.port.startsWith("tcp:") ? netPort(config.port) : serialPort(config, tools.clock));
    this.#intake = new Intake(tools.sink, limits.inflightMax, {
      full: () => {
        this.#line.pause(this.#clock.monotonicMs());
        this.#opened?.pause();
      },
      free: () => {
        this.#line.resume(this.#clock.monotonicMs());
        this.#opened?.resume();
      },
    });
    this.#decode = decoderFor(config.decode, limits.readingsMax);
    this.#map = mapperFor(config, tools.identity);
    this.#framer = framerFor(config.framing, {
      frame: (bytes) => this.#take(bytes),
      refuse: (reason) => this.#intake.refuse(reason),
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#stopTicking = this.#clock.every(TICK_MS, () => {
      this.#framer.expire(this.#lineMs());
      this.#step({ is: "tick" });
    });
    this.#step({ is: "start" });
  }

  async stop(): Promise<void> {
    this.#stopTicking();
    this.#step({ is: "stop" });
    await Promise.all(this.#unsettled);
    await this.#intake.drained();
  }

  status(): DeviceStatus {
    const link = this.#link;
    return {
      name: this.#config.name,
      port: this.#config.port,
      state: link.at,
      reason: "why" in link ? link.why : null,
      lastFrameMs: this.#lastFrameMs,
      counters: {
        bytes: this.#bytes,
        ...this.#intake.counters(),
        reopened: Math.max(0, this.#openings - 1),
      },
    };
  }

  #lineMs(): number {
    return this.#line.at(this.#clock.monotonicMs());
  }

  #take(frame: Uint8Array): void {
    const decoded = this.#decode(frame);
    const mapped = decoded.is === "refused" ? decoded.reason : this.#map(decoded);
    if (typeof mapped === "string") {
      this.#intake.refuse(mapped);
      return;
    }
    this.#lastFrameMs = this.#clock.wallMs();
    this.#intake.take(mapped);
  }

  #step(event: LinkEvent): void {
    const [link, actions] = nextLink(this.#link, event, this.#clock.monotonicMs(), this.#timing);
    this.#link = link;
    for (const action of actions) this.#follow(action === "open" ? this.#open() : this.#close());
  }

  /** What `stop` has to wait for. */
  #follow(work: Promise<void>): void {
    this.#unsettled.add(work);
    void work.finally(() => this.#unsettled.delete(work));
  }

  async #open(): Promise<void> {
    const opening = new AbortController();
    this.#opening = opening;
    const listener = {
      data: (chunk: Uint8Array) => {
        if (opening.signal.aborted) return;
        this.#bytes += chunk.length;
        this.#framer.push(chunk, this.#lineMs());
      },
      lost: (error: FieldgateError) => {
        if (opening.signal.aborted) return;
        this.#report(error);
        this.#step({ is: "lost", why: troubleOf(error) });
      },
    };
    try {
      const opened = await this.#port.open(listener, opening.signal);
      if (opening.signal.aborted) return await opened.close();
      this.#opened = opened;
      this.#openings += 1;
      this.#framer.reset(this.#lineMs());
      this.#step({ is: "opened" });
      this.#reportOpen();
      if (!this.#intake.isFull()) opened.resume();
    } catch (error) {
      if (opening.signal.aborted) return;
      this.#report(error);
      this.#step({ is: "failed", why: troubleOf(error) });
    }
  }

  async #close(): Promise<void> {
    this.#opening.abort(new FieldgateError("ERR_DEVICE_OPEN", "the device is closed"));
    this.#framer.reset(this.#lineMs());
    const opened = this.#opened;
    this.#opened = null;
    await opened?.close();
  }

  /** Says once what is wrong, not at every attempt. */
  #report(error: unknown): void {
    const trouble = troubleOf(error);
    if (this.#logged === trouble) return;
    this.#logged = trouble;
    this.#log.warn("device not open", { device: this.#config.name, ...errorFields(error) });
  }

  #reportOpen(): void {
    if (this.#logged === "open") return;
    this.#logged = "open";
    this.#log.info("device open", { device: this.#config.name, port: this.#config.port });
  }
}
