import type { Clock } from "../base/clock.ts";
import type { DeviceConfig } from "../config/schema.ts";
import { type Decoder, decoderFor } from "./decode.ts";
import type {
  Device,
  DeviceStatus,
  DeviceTools,
  DeviceWrite,
  Tracer,
  WritePermit,
  WriteResult,
} from "./device.ts";
import { encodeFrame } from "./frame-encoder.ts";
import type { Framer } from "./framing/framer.ts";
import { framerFor } from "./framing.ts";
import { Intake } from "./intake.ts";
import { Line, TICK_MS } from "./line.ts";
import { LineClock } from "./line-clock.ts";
import { type Mapper, mapperFor } from "./mapping.ts";
import { portFor } from "./port-for.ts";

/** Ticks further apart than this mean that the process was busy, not that the line was silent. */
const STEP_MS_MAX = 4 * TICK_MS;

/** A device that speaks by itself: port, framer, check, decoder, mapping, sink. */
export class ListeningDevice implements Device {
  readonly name: string;
  readonly #config: DeviceConfig;
  readonly #clock: Clock;
  readonly #framer: Framer;
  readonly #decode: Decoder;
  readonly #map: Mapper;
  readonly #intake: Intake;
  readonly #line: Line;
  readonly #lineClock = new LineClock(STEP_MS_MAX);
  #lastFrameMs: number | null = null;
  #heardMs: number;

  constructor(config: DeviceConfig, tools: DeviceTools) {
    const limits = { ...config, ...tools.limits };
    const { clock, random } = tools;
    this.name = `device ${config.name}`;
    this.#config = config;
    this.#clock = clock;
    this.#heardMs = clock.monotonicMs();
    this.#decode = decoderFor(config.decode, limits.readingsMax);
    this.#map = mapperFor(config, tools.identity);
    this.#intake = new Intake(tools.sink, limits.inflightMax, {
      full: () => {
        this.#lineClock.pause(clock.monotonicMs());
        this.#line.pause();
      },
      free: () => {
        this.#lineClock.resume(clock.monotonicMs());
        this.#line.resume();
      },
    });
    this.#framer = framerFor(config.framing, {
      frame: (bytes) => this.#take(bytes),
      refuse: (reason) => this.#intake.refuse(reason),
    });
    const log = tools.log.part("devices");
    const port = tools.port ?? portFor(config, clock, tools.places);
    this.#line = new Line(
      config,
      port,
      limits,
      { clock, log, random },
      {
        opened: () => this.#framer.reset(this.#lineMs()),
        data: (chunk) => this.#framer.push(chunk, this.#lineMs()),
        closed: () => this.#framer.reset(this.#lineMs()),
        tick: () => this.#framer.expire(this.#lineMs()),
      },
    );
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#line.start();
  }

  async stop(): Promise<void> {
    await this.#line.stop();
    await this.#intake.drained();
  }

  status(): DeviceStatus {
    const { state, reason, bytes, reopened } = this.#line;
    return {
      name: this.#config.name,
      port: this.#config.port,
      state,
      reason,
      lastFrameMs: this.#lastFrameMs,
      counters: { bytes, ...this.#intake.counters(), reopened },
    };
  }

  trace(tracer: Tracer): () => void {
    return this.#line.trace(tracer);
  }

  silentForMs(): number {
    return this.#clock.monotonicMs() - this.#heardMs;
  }

  async write(write: DeviceWrite, permit: WritePermit): Promise<WriteResult> {
    if (write.is !== "frame") return { is: "refused", reason: "not-modbus" };
    const bytes = encodeFrame(write.content, this.#config.framing);
    if (typeof bytes === "string") return { is: "refused", reason: bytes };
    const refusal = permit() ?? this.#line.refusal;
    if (refusal !== null) return refusal;
    return await this.#line.writeWithin(bytes, this.#config.writeTimeoutMs);
  }

  #lineMs(): number {
    return this.#lineClock.at(this.#clock.monotonicMs());
  }

  #take(frame: Uint8Array): void {
    const decoded = this.#decode(frame);
    const mapped = decoded.is === "refused" ? decoded.reason : this.#map(decoded);
    if (typeof mapped === "string") {
      this.#intake.refuse(mapped);
      return;
    }
    this.#lastFrameMs = this.#clock.wallMs();
    this.#heardMs = this.#clock.monotonicMs();
    this.#intake.take(mapped);
  }
}
