import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { Commands } from "../../src/devices/commands.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { until } from "../support/until.ts";
import { check } from "./command-books.ts";
import { deviceTools } from "./device-tools.ts";

/** More than a pseudo-terminal or socat keeps for a reader that reads no more. */
const LONG = "a".repeat(60_000);

/**
 * A far end that vanishes, or takes nothing more, in the middle of a command, on real lines. The reply says what is known; and what was
 * not taken never reaches the device later, when nobody expects it any more.
 */
describe("a command in the middle of which", { timeout: 300_000 }, () => {
  it("the far end of a pseudo-terminal dies has an unknown outcome, and is not written again", async (t) => {
    const far = await terminal(t);
    const near = await commanded(t, far.port);
    far.socat.kill("SIGSTOP");
    near.send({ id: "1", text: LONG });
    await near.untilWriting();
    far.socat.kill("SIGKILL");
    assert.deepEqual(await near.reply("1"), { result: "timeout", reason: "port-lost" });
    near.send({ id: "2", text: "away" });
    assert.equal((await near.reply("2"))["result"], "refused");

    await far.plugIn();
    await until("open again", () => near.state() === "open");
    near.send({ id: "3", text: "after" });
    assert.deepEqual(await near.reply("3"), { result: "success" });
    await until("it has come", async () => (await far.received()).includes("after"));
    assert.equal(await far.received(), "after\r\n");
    check(near, { received: 3, success: 1, timeout: { "port-lost": 1 } });
  });

  it("a pseudo-terminal takes nothing more is given up, and nothing of it comes later", async (t) => {
    const far = await terminal(t);
    const near = await commanded(t, far.port, "writeTimeoutMs: 1000");
    far.socat.kill("SIGSTOP");
    near.send({ id: "1", text: LONG });
    near.send({ id: "2", text: "late", deadlineMs: 100 });
    assert.deepEqual(await near.reply("1"), { result: "timeout", reason: "not-taken" });
    assert.deepEqual(await near.reply("2"), { result: "timeout", reason: "deadline" });
    await until("open again", () => near.reopened() === 1 && near.state() === "open");
    far.socat.kill("SIGCONT");
    near.send({ id: "3", text: "after" });
    assert.deepEqual(await near.reply("3"), { result: "success" });
    await until("it has come", async () => (await far.received()).endsWith("after\r\n"));
    const before = (await far.received()).slice(0, -"after\r\n".length);
    // What socat had taken before it stood still.
    assert.ok(
      before.length < LONG.length / 2 && !before.includes("late"),
      `${before.length} bytes`,
    );
    check(near, { received: 3, success: 1, timeout: { "not-taken": 1, deadline: 1 } });
  });

  it("a serial server resets the connection has an unknown outcome, and is not written again", async (t) => {
    const far = await serialServer(t);
    const near = await commanded(t, far.port);
    const ids = Array.from({ length: 250 }, (_, i) => `${i}`);
    for (const id of ids) near.send({ id, text: LONG });
    await near.reply("9");
    far.vanish();
    await near.reply("249");
    const { success, ...rest } = near.commands.counters();
    assert.ok(success >= 10, `${success}`);
    assert.deepEqual(rest.timeout, { "port-lost": 1 });
    assert.deepEqual(await near.reply(`${success}`), { result: "timeout", reason: "port-lost" });

    await far.listen();
    await until("open again", () => near.state() === "open");
    near.send({ id: "after", text: "after" });
    assert.deepEqual(await near.reply("after"), { result: "success" });
    await until("it has come", () => far.connections[1]?.received !== "");
    assert.equal(far.connections[1]?.received, "after\r\n");
    check(near, { received: 251, success: success + 1, timeout: { "port-lost": 1 } });
  });

  it("a serial server takes nothing more is given up, and nothing of it comes later", async (t) => {
    const far = await serialServer(t);
    const near = await commanded(t, far.port, "writeTimeoutMs: 1000");
    const said: Record<string, unknown>[] = [{ result: "success" }];
    while (said.at(-1)?.["result"] === "success" && said.length < 500) {
      const id = `${said.length}`;
      near.send({ id, text: LONG });
      said.push(await near.reply(id));
    }
    assert.deepEqual(said.at(-1), { result: "timeout", reason: "not-taken" });
    await until("open again", () => far.connections.length === 2 && near.state() === "open");
    far.read();
    near.send({ id: "after", text: "after" });
    assert.deepEqual(await near.reply("after"), { result: "success" });
    await until("it has come", () => far.connections[1]?.received !== "");
    assert.equal(far.connections[1]?.received, "after\r\n");
    await until("the first one is over", () => far.connections[0]?.socket.destroyed === true);
    const whole = far.connections[0]?.received.split("\r\n").length ?? 0;
    assert.ok(whole < said.length, `${whole} frames of ${said.length - 1}`);
    check(near, { timeout: { "not-taken": 1 } });
  });
});

/** A device of text lines at that port, open, that is commanded. */
async function commanded(
  t: TestContext,
  port: string,
  keys = "writeTimeoutMs: 30000, commandsMax: 1000, commandIdsMax: 1000",
) {
  const [config] = parseConfig(
    `devices: [{ name: d, port: "${port}", framing: { bytesMax: 65536 }, commandTopic: c, commandDeadlineMs: 600000, backoffFirstMs: 20, backoffMaxMs: 50, ${keys} }]`,
    "test",
  ).devices;
  assert.ok(config);
  const replies: { readonly id: string }[] = [];
  const tools = deviceTools(({ payload }) => {
    replies.push(JSON.parse(Buffer.from(payload).toString()));
  });
  const device = deviceFor(config, deviceTools());
  let listener: (message: Message) => void = () => {};
  let writing = false;
  device.trace((way) => {
    writing ||= way === "out";
  });
  const commands = new Commands(config, device, {
    ...tools,
    listen: (_topic, by) => {
      listener = by;
      return () => {};
    },
    mayWrite: () => true,
  });
  t.after(async () => {
    await commands.stop();
    await device.stop();
  });
  await device.start(t.signal);
  await commands.start(t.signal);
  await until("open", () => device.status().state === "open");
  const send = (what: object) => {
    const message = { topic: "c", qos: 1, retain: false, properties: null } as const;
    listener({ ...message, payload: Buffer.from(JSON.stringify(what)) });
  };
  const settled = (id: string) => replies.find((each) => each.id === id);
  return {
    commands,
    send,
    state: () => device.status().state,
    reopened: () => device.status().counters.reopened,
    untilWriting: () => until("it is being written", () => writing),
    async reply(id: string): Promise<Record<string, unknown>> {
      await until(`reply ${id}`, () => settled(id) !== undefined);
      const { id: _id, ...said } = settled(id) ?? { id };
      return said;
    },
  };
}

/** A real pseudo-terminal; socat keeps in a file what comes. */
async function terminal(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "held-up-"));
  const port = join(directory, "tty");
  const file = join(directory, "received");
  const far = { port, socat: null as unknown as ChildProcess, plugIn, received };
  async function plugIn(): Promise<void> {
    far.socat = spawn("socat", ["-u", `pty,raw,echo=0,link=${port}`, `CREATE:${file}`]);
    const isThere = () =>
      access(port).then(
        () => true,
        () => false,
      );
    await until("a terminal", isThere);
  }
  function received(): Promise<string> {
    return readFile(file, "latin1");
  }
  t.after(async () => {
    far.socat.kill("SIGKILL");
    if (far.socat.exitCode === null && far.socat.signalCode === null) await once(far.socat, "exit");
    await rm(directory, { recursive: true, force: true });
  });
  await plugIn();
  return far;
}

/** A serial server that reads nothing until it is told to. */
async function serialServer(t: TestContext) {
  const connections: { readonly socket: Socket; received: string }[] = [];
  const take = (socket: Socket) => {
    const connection = { socket, received: "" };
    connections.push(connection);
    socket.on("error", () => {}); // A reset is what is tested.
    socket.on("data", (chunk) => {
      connection.received += chunk.toString("latin1");
    });
    if (!reads) socket.pause();
  };
  const server = createServer(take);
  let reads = false;
  let port = 0;
  const open = async () => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  };
  await open();
  t.after(() => {
    for (const { socket } of connections) socket.destroy();
    server.close();
  });
  return {
    port: `tcp://127.0.0.1:${port}`,
    connections,
    read() {
      reads = true;
      for (const { socket } of connections) socket.resume();
    },
    /** It resets what is connected, and is not there until it listens. */
    vanish() {
      server.close();
      for (const { socket } of connections) socket.resetAndDestroy();
    },
    listen() {
      reads = true;
      return open();
    },
  };
}
