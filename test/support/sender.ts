import { connect, type Socket } from "node:net";
import packet from "mqtt-packet";

/**
 * A sensor that speaks MQTT and loses nothing of its own: publishes its numbered messages at QoS 1 with some in flight,
 * connects again whenever it is cut off, and then repeats what was not acknowledged, in order [MQTT-4.4.0-1].
 */
export class Sender {
  readonly id: string;
  /** How many of its messages, from the first, have been acknowledged. Acknowledgements come in order. */
  acked = 0;
  /** Those that were sent more than once: a broker may well have taken them twice. */
  readonly repeated = new Set<number>();
  readonly #port: number;
  readonly #windowMax: number;
  readonly #perSecond: number;
  #total: number;
  #sent = 0;
  #socket: Socket | null = null;
  #up = false;
  #ticker: NodeJS.Timeout | null = null;
  #allowed = 0;
  #stopped = false;

  constructor(options: {
    readonly id: string;
    readonly port: number;
    /** Without it, until `finish`. */
    readonly total?: number;
    readonly windowMax: number;
    readonly perSecond: number;
  }) {
    this.id = options.id;
    this.#total = options.total ?? Number.MAX_SAFE_INTEGER;
    this.#port = options.port;
    this.#windowMax = options.windowMax;
    this.#perSecond = options.perSecond;
  }

  start(): void {
    this.#dial();
    this.#ticker = setInterval(() => {
      this.#allowed = Math.min(this.#allowed + this.#perSecond / 100, this.#total);
      this.#pump();
    }, 10);
  }

  get done(): boolean {
    return this.acked === this.#total;
  }

  /** Publishes nothing new; what is not acknowledged is repeated until it is. */
  finish(): void {
    this.#total = this.#sent;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#socket?.destroy();
  }

  #dial(): void {
    if (this.#stopped) return;
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    const parser = packet.parser();
    this.#socket = socket;
    socket.on("connect", () => {
      socket.write(
        packet.generate({ cmd: "connect", clientId: this.id, clean: true, keepalive: 0 }),
      );
    });
    socket.on("data", (chunk) => parser.parse(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#up = false;
      setTimeout(() => this.#dial(), 50);
    });
    parser.on("packet", (came) => {
      if (came.cmd === "connack") this.#begin();
      else if (came.cmd === "puback") this.#acknowledged(came.messageId ?? 0);
    });
  }

  #begin(): void {
    this.#up = true;
    const repeated = this.#sent;
    for (this.#sent = this.acked; this.#sent < repeated; this.#sent++) this.#publish(true);
    this.#pump();
  }

  #pump(): void {
    while (
      this.#up &&
      this.#sent < Math.min(this.#total, this.#allowed) &&
      this.#sent - this.acked < this.#windowMax
    ) {
      this.#publish(false);
      this.#sent++;
    }
  }

  #publish(dup: boolean): void {
    const n = this.#sent;
    if (dup) this.repeated.add(n);
    const messageId = packetId(n);
    const topic = `plant/${this.id}`;
    const payload = `${this.id}/${n}`;
    this.#socket?.write(
      packet.generate({ cmd: "publish", topic, payload, qos: 1, dup, retain: false, messageId }),
    );
  }

  #acknowledged(messageId: number): void {
    if (messageId !== packetId(this.acked)) {
      throw new Error(`${this.id}: PUBACK ${messageId}, expected ${packetId(this.acked)}`);
    }
    this.acked++;
    this.#pump();
  }
}

function packetId(n: number): number {
  return 1 + (n % 65_535);
}
