import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen, fieldgate, type Said } from "../support/screens.ts";

const PANEL = { clientId: "panel", clean: false };
const MESSAGES = 3;
/** By how much two looks at when it left may differ; between them lie two starts. */
const LEFT_MS_MAX = 500;

it("a session of a client that never comes back is found, forgotten, and stays so through SIGKILL", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-forget-"));
  const socket = join(directory, "control.sock");
  const asked = (...argv: string[]): Promise<Said> => fieldgate(...argv, "--socket", socket);
  const gateway = new Program(await configure(directory, socket));
  try {
    let port = await gateway.start();
    const panel = await RawClient.connected(port, PANEL);
    await subscribe(panel, "plant/#", 1);
    await refused(asked("clients", "forget", "panel", "--confirm"), "ERR_CLIENT_CONNECTED");
    await refused(asked("clients", "forget", "stranger"), "ERR_NOT_THERE");
    panel.send({ cmd: "disconnect" });
    await panel.ended();
    await published(port);
    const left = await panelSeen(asked);
    await gateway.terminate();
    await gateway.start();
    await gateway.kill();

    port = await gateway.start();
    const found = await panelSeen(asked);
    assert.ok(Math.abs(found.awaySinceMs - left.awaySinceMs) < LEFT_MS_MAX, "since it left");
    assert.ok(found.awayMs > left.awayMs, "and for longer than before");
    assertScreen("clients-away", (await asked("clients")).out);
    const { code, out, err } = await asked("status");
    assert.deepEqual([code, err], [1, ""], "one of one session");
    assert.match(
      out,
      /1 of 1 persistent sessions, 1 of clients that are away: new ones are refused; .*forget ID/,
    );
    const doctor = await fieldgate("doctor", "--only", "sessions", "--socket", socket);
    assert.match(doctor.out, /-> fieldgate clients .*forget ID.*mqtt\.sessionExpiryHours/s);
    const unsure = await asked("clients", "forget", "panel");
    assert.equal(unsure.code, 1);
    assertScreen("clients-forget", unsure.out);
    const sure = await asked("clients", "forget", "panel", "--confirm", "--json");
    assert.deepEqual(
      [sure.code, JSON.parse(sure.out)],
      [0, { id: "panel", forgotten: true, messages: MESSAGES }],
    );
    await gateway.kill();

    port = await gateway.start();
    assert.match((await asked("clients")).out, /^0 connected, 0 away\n$/);
    const again = await RawClient.connected(port, PANEL);
    const [connack] = again.received;
    assert.equal(connack?.cmd === "connack" && connack.sessionPresent, false);
    await published(port);
    await again.settled();
    assert.deepEqual(payloads(again), []);
  } finally {
    await gateway.kill();
    await rm(directory, { recursive: true, force: true });
  }
});

async function panelSeen(asked: (...argv: string[]) => Promise<Said>) {
  const { clients } = JSON.parse((await asked("clients", "--json")).out);
  const panel = clients.find(({ clientId }: { clientId: string }) => clientId === PANEL.clientId);
  assert.equal(panel.connected, false);
  return panel as { readonly awayMs: number; readonly awaySinceMs: number };
}

async function refused(saying: Promise<Said>, code: string): Promise<void> {
  const said = await saying;
  assert.deepEqual([said.code, said.err.includes(code)], [2, true], said.err);
}

async function published(port: number): Promise<void> {
  const sender = await RawClient.connected(port, { clientId: "sender" });
  for (let i = 1; i <= MESSAGES; i++) {
    sender.send(publish("plant/oven", `${i}`, 1, i));
    await sender.next("puback");
  }
  sender.drop();
}

async function configure(directory: string, socket: string): Promise<string> {
  const path = join(directory, "fieldgate.yaml");
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "test", port: 0 }],
    control: { socket },
    mqtt: { sessionsMax: 1 },
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}
