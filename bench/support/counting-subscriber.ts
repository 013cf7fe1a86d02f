import { connect, type Socket } from "node:net";
import packet from "mqtt-packet";
import { FRAME, FrameReader } from "../../src/mqtt/frame.ts";

/** Counts what a broker delivers at QoS 0, and costs so little that it is not what a run measures. */
export class CountingSubscriber {
  count = 0;
  /** When the last message came, on the clock of performance.now(). */
  lastMs = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Resolves when the subscription stands. */
  static async start(port: number, topic: string): Promise<CountingSubscriber> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const subscriber = new CountingSubscriber(socket);
    const reader = new FrameReader(2 ** 24);
    await new Promise<void>((ready, failed) => {
      socket.on("error", failed);
      socket.write(
        packet.generate({ cmd: "connect", clientId: "counter", clean: true, keepalive: 0 }),
      );
      const subscriptions = [{ topic, qos: 0 as const }];
      socket.write(packet.generate({ cmd: "subscribe", messageId: 1, subscriptions }));
      socket.on("data", (chunk) => {
        reader.push(chunk);
        while (reader.next() === FRAME) {
          const type = (reader.bytes[reader.start] as number) >> 4;
          if (type === 3) subscriber.count++;
          else if (type === 9) ready();
        }
        subscriber.lastMs = performance.now();
      });
    });
    return subscriber;
  }

  stop(): void {
    this.#socket.destroy();
  }
}
