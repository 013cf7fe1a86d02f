import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { type SiteGateway, withTwoGateways } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

/** Function 5 of Modbus: a coil is written. */
const WRITE_COIL = 5;

/**
 * A door contact and a Modbus line on serial servers that two real gateways reach: commands come at both all the time, while the role goes
 * from one to the other and back, the second time because the primary is killed. Only who is primary writes, and each reply says what was so.
 */
it("only the primary of a site writes to a device that its gateways share, whatever becomes of the role", async () => {
  const door = await serialServer();
  const bus = await serialServer();
  const field = { field: "relay", table: "coil", register: 0 };
  const shared = { shared: true, backoffFirstMs: 50, backoffMaxMs: 100 };
  const slave = { name: "m1", unit: 1, intervalMs: 60_000, timeoutMs: 200, fields: [field] };
  const devices = [
    { name: "door", port: door.port, commandTopic: "devices/{gateway}/door/command", ...shared },
    { name: "bus", port: bus.port, modbus: { framing: "tcp", slaves: [slave] }, ...shared },
  ];
  const run = async (a: SiteGateway, b: SiteGateway) => {
    const all = [await Commander.start(a), await Commander.start(b)] as const;
    try {
      await until("one is primary", async () => (await roles(a, b)).includes("primary"));
      const [first, second] = (await a.role()) === "primary" ? all : [all[1], all[0]];
      await until("the port is open at both", () => door.connections.size === 2);
      await until("obeyed, and refused", () => first.obeyed > 5 && second.refused > 5);

      const written = () => bus.requests(WRITE_COIL);
      const standby = await second.gateway.command("modbus", "write", "bus", "coil", "0", "on");
      assert.deepEqual([standby.code, standby.out], [2, "refused: not-primary\n"]);
      assert.equal(written(), 0);
      const primary = await first.gateway.command("modbus", "write", "bus", "coil", "0", "on");
      assert.deepEqual([primary.code, primary.out, written()], [1, "no answer: no-answer\n", 1]);

      const { code, err } = await first.gateway.command("site", "hand-over");
      assert.equal(code, 0, err);
      const obeyed = first.obeyed;
      await until("the other one obeys", () => second.obeyed > 5);
      await until("this one refuses", () => first.refused > 5);
      assert.ok(first.obeyed <= obeyed + 1, "a reply may have been on its way");

      second.stop();
      await until("all replies have come", () => second.waiting === 0);
      await second.gateway.program.kill();
      const before = first.obeyed;
      await until("it obeys again", () => first.obeyed > before + 5);
      first.stop();
      await until("all replies have come", () => first.waiting === 0);
      check(door.lines, [first, second]);
      assert.deepEqual(
        turns(door.lines),
        [first, second, first].map(({ gateway }) => gateway.id),
      );
    } finally {
      for (const each of all) await each.end();
    }
  };
  try {
    await withTwoGateways(run, { primaryTtlSeconds: 3 }, { devices });
  } finally {
    door.close();
    bus.close();
  }
});

/** What was written is what was answered with success, each once; every other command was refused because of the role. */
function check(lines: readonly string[], commanders: readonly Commander[]): void {
  const said = (result: string) => {
    return commanders.flatMap(({ replies }) => {
      return [...replies].filter(([, reply]) => reply === result).map(([id]) => id);
    });
  };
  assert.deepEqual(lines.toSorted(), said("success").toSorted());
  const rest = commanders.flatMap(({ replies }) => [...replies.values()]);
  assert.deepEqual(new Set(rest), new Set(["success", "refused not-primary"]));
}

/** Who wrote, one after the other. */
function turns(lines: readonly string[]): string[] {
  const who = lines.map((line) => line.split(" ")[0] ?? "");
  return who.filter((id, i) => id !== who[i - 1]);
}

function roles(...gateways: readonly SiteGateway[]): Promise<string[]> {
  return Promise.all(gateways.map((gateway) => gateway.role()));
}

/** Commands a device through one gateway, every few ms, and keeps the replies. */
class Commander {
  readonly gateway: SiteGateway;
  /** By the command's id, which is also what it writes. */
  readonly replies = new Map<string, string>();
  obeyed = 0;
  refused = 0;
  #sent = 0;
  readonly #client: MqttClient;
  readonly #timer: NodeJS.Timeout;

  private constructor(gateway: SiteGateway, client: MqttClient) {
    this.gateway = gateway;
    this.#client = client;
    client.on("message", (_topic, payload) => this.#hear(JSON.parse(String(payload))));
    this.#timer = setInterval(() => this.#send(), 15);
  }

  static async start(gateway: SiteGateway): Promise<Commander> {
    const client = await connectAsync(`mqtt://127.0.0.1:${gateway.port}`);
    await client.subscribeAsync(`devices/${gateway.id}/door/command/reply`, { qos: 1 });
    return new Commander(gateway, client);
  }

  get waiting(): number {
    return this.#sent - this.replies.size;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async end(): Promise<void> {
    this.stop();
    await this.#client.endAsync(true);
  }

  #send(): void {
    this.#sent += 1;
    const id = `${this.gateway.id} ${this.#sent}`;
    const command = JSON.stringify({ id, text: id });
    this.#client.publish(`devices/${this.gateway.id}/door/command`, command, { qos: 1 });
  }

  #hear({ id, result, reason }: Readonly<Record<string, string>>): void {
    this.replies.set(id ?? "", reason === undefined ? `${result}` : `${result} ${reason}`);
    if (result === "success") this.obeyed += 1;
    else this.refused += 1;
  }
}

/** A serial server that takes several clients, and answers nothing. */
async function serialServer() {
  const connections = new Set<Socket>();
  const lines: string[] = [];
  let bytes = Buffer.alloc(0);
  const server = createServer((socket) => {
    let rest = "";
    connections.add(socket);
    socket.on("error", () => {}); // Followed by close.
    socket.on("close", () => connections.delete(socket));
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const whole = (rest + chunk.toString("latin1")).split("\r\n");
      rest = whole.pop() ?? "";
      lines.push(...whole);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    lines,
    /** Requests of Modbus TCP with that function, each of twelve bytes. */
    requests(code: number): number {
      const count = bytes.length / 12;
      return Array.from({ length: count }, (_, i) => bytes[12 * i + 7]).filter((at) => at === code)
        .length;
    },
    close() {
      for (const socket of connections) socket.destroy();
      server.close();
    },
  };
}
