import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dialPlug } from "./dial.ts";
import type { Plug } from "./plug.ts";
import { hasSocat, ptyPlug } from "./pty.ts";
import { type Entry, isAsked, type RecordedSensor } from "./recording.ts";
import { checkedHeader, entriesOf } from "./recording-reader.ts";
import { tcpPlug } from "./tcp.ts";

export interface ReplayOptions {
  readonly path: string;
  /** Where pseudo-terminals appear, as tty-NAME. Default: a new directory below the system's temporary one. */
  readonly directory?: string;
  /** Puts all serial sensors there, wherever they were recorded. */
  readonly transport?: "pty" | "tcp";
  /** Where MQTT sensors connect to. Default: where they did when they were recorded. */
  readonly broker?: { readonly host: string; readonly port: number };
  /** Whoever asks no more for so long is not waited for. Default 30 s. */
  readonly askedMsMax?: number;
}

export interface ReplayCounts {
  /** Entries of this sensor that were played. */
  readonly entries: number;
  /** Bytes that somebody took, and bytes that nobody did. */
  readonly bytes: number;
  readonly lostBytes: number;
  /** Of a sensor that is asked: the recording goes on, and nobody asks any more. */
  readonly unasked: boolean;
}

export interface ReplayedSensor extends RecordedSensor {
  /** What a gateway is configured with to read it; null for a sensor that connects by itself. */
  readonly at: string | null;
}

/** A recording that is played. */
export interface Replay {
  readonly seed: number;
  readonly sensors: readonly ReplayedSensor[];
  /** The recording's time begins now. Resolves when all of it was played, or `stop` was called. */
  play(): Promise<void>;
  counts(): Readonly<Record<string, ReplayCounts>>;
  /** Resolves when nothing is left running. */
  stop(): Promise<void>;
}

/**
 * Looks a recording through and makes its ports. A RecordingError for a file that is none, is cut off or damaged: then nothing of it
 * is played. Each sensor reads the file by itself, so that one that waits for a question keeps no other waiting, and nothing gathers.
 */
export async function startReplay(options: ReplayOptions): Promise<Replay> {
  const { path, askedMsMax = 30_000 } = options;
  const { seed, sensors } = await checkedHeader(path);
  const own = options.directory === undefined ? await mkdtemp(join(tmpdir(), "replay-")) : null;
  const directory = options.directory ?? own ?? ".";
  const stopping = new AbortController();
  const players: Player[] = [];
  let playing: Promise<void> = Promise.resolve();
  const stop = async () => {
    stopping.abort();
    await playing;
    await Promise.all(players.map((player) => player.plug.pull()));
    if (own !== null) await rm(own, { recursive: true, force: true });
  };
  try {
    const serial = options.transport ?? null;
    for (const sensor of sensors) {
      const plug = await plugFor(sensor, serial, directory, options.broker);
      const player = new Player(sensor, plug, askedMsMax);
      players.push(player);
      if (player.isSerial) await plug.plugIn();
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    seed,
    sensors: players.map(({ sensor, plug, isSerial }) => {
      return { ...sensor, at: isSerial ? plug.port : null };
    }),
    play() {
      const beganMs = performance.now();
      const each = players.map((player, i) =>
        player.play(entriesOf(path, i, sensors.length), beganMs, stopping.signal),
      );
      const played = Promise.all(each);
      playing = played.then(
        () => {},
        () => {},
      );
      return played.then(() => {});
    },
    counts: () => {
      return Object.fromEntries(players.map(({ sensor, counts }) => [sensor.name, { ...counts }]));
    },
    stop,
  };
}

async function plugFor(
  { name, transport, host = "127.0.0.1", port = 1883 }: RecordedSensor,
  wanted: "pty" | "tcp" | null,
  directory: string,
  broker: ReplayOptions["broker"],
): Promise<Plug> {
  if (transport === "mqtt") return dialPlug(broker?.host ?? host, broker?.port ?? port);
  const on = transport === "modbus-tcp" ? "tcp" : (wanted ?? transport);
  const isPty = on === "pty" && (wanted === "pty" || (await hasSocat()));
  return isPty ? ptyPlug(join(directory, `tty-${name}`)) : await tcpPlug();
}

/** Plays what happened to one sensor. */
class Player {
  readonly sensor: RecordedSensor;
  readonly plug: Plug;
  readonly isSerial: boolean;
  readonly counts = { entries: 0, bytes: 0, lostBytes: 0, unasked: false };
  readonly #askedMsMax: number;
  /** Of the far end, in the recording and now. */
  #wantedBytes = 0;
  #heardBytes = 0;
  #asked = () => {};
  /** How much later than in the recording, or earlier, questions come: answers move with them. */
  #shiftMs = 0;

  constructor(sensor: RecordedSensor, plug: Plug, askedMsMax: number) {
    this.sensor = sensor;
    this.plug = plug;
    this.isSerial = sensor.transport !== "mqtt";
    this.#askedMsMax = askedMsMax;
    plug.hear((bytes) => {
      this.#heardBytes += bytes.length;
      this.#asked();
    });
  }

  async play(entries: AsyncIterable<Entry>, beganMs: number, signal: AbortSignal): Promise<void> {
    for await (const entry of entries) {
      if (signal.aborted) return;
      const isQuestion = entry.what === "hear" && isAsked(this.sensor);
      const dueMs = beganMs + entry.atUs / 1000;
      if (isQuestion) {
        this.#wantedBytes += entry.bytes.length;
        if (!(await this.#question(signal))) return;
        this.#shiftMs = performance.now() - dueMs;
      } else await until(dueMs + this.#shiftMs, signal);
      if (signal.aborted) return;
      await this.#happen(entry);
      this.counts.entries += 1;
    }
  }

  async #happen({ what, bytes }: Entry): Promise<void> {
    if (what === "plug") await this.plug.plugIn();
    else if (what === "pull") await this.plug.pull();
    else if (what === "say") {
      const taken = this.plug.write(bytes);
      this.counts[taken ? "bytes" : "lostBytes"] += bytes.length;
    }
  }

  /** As many bytes as in the recording have come; false when they do not come any more. */
  async #question(signal: AbortSignal): Promise<boolean> {
    while (this.#heardBytes < this.#wantedBytes) {
      const coming = new Promise<"asked">((resolve) => {
        this.#asked = () => resolve("asked");
      });
      const over = new AbortController();
      const late = sleep(this.#askedMsMax, "late" as const, {
        signal: AbortSignal.any([signal, over.signal]),
      }).catch(() => "stopped" as const);
      const came = await Promise.race([coming, late]);
      over.abort();
      if (came === "asked") continue;
      this.counts.unasked = came === "late";
      return false;
    }
    return true;
  }
}

async function until(dueMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const restMs = dueMs - performance.now();
    if (restMs <= 0 || signal.aborted) return;
    await sleep(Math.ceil(restMs), undefined, { signal }).catch(() => {});
  }
}
