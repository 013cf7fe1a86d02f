import assert from "node:assert/strict";
import type { Program } from "./program.ts";
import { RawClient } from "./raw-client.ts";

/** For Node where the package lies: prints the kind of machine, and `true` when koffi works; serialport has loaded then, too. */
export const LOADS_NATIVE =
  'const k = require("koffi"); require("@serialport/bindings-cpp"); console.log(process.arch, k.load(null).func("int getpid()")() === process.pid)';

/** What it has acknowledged it gives to who comes after it was killed. It runs afterwards. */
export async function keepsThroughKill(program: Program): Promise<void> {
  const publisher = await RawClient.connected(await program.start());
  const retained = { topic: "kept", payload: "through the cut", qos: 1, retain: true } as const;
  publisher.send({ cmd: "publish", dup: false, messageId: 7, ...retained });
  assert.equal((await publisher.next("puback")).messageId, 7);
  await program.kill();
  const reader = await RawClient.connected(await program.start());
  reader.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "kept", qos: 1 }] });
  assert.equal(String((await reader.next("publish")).payload), "through the cut");
}
