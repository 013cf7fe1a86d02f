import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import { withBroker } from "../support/broker.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";

const FEW = 5;
const MANY = 45;

it("sessions are taken up in a few walks through the store, and one look for each", async (t) => {
  const more = (await looks(t, MANY)) - (await looks(t, FEW));
  assert.ok(more <= 2 * (MANY - FEW), `${more} looks more for ${MANY - FEW} sessions more`);
});

/** How often the store is looked into while a gateway with so many sessions starts; then each still has its subscription. */
async function looks(t: TestContext, sessions: number): Promise<number> {
  let count = 0;
  await withBroker(async (site) => {
    for (let i = 0; i < sessions; i++) {
      const client = await RawClient.connected(site.port, { clientId: `é:${i}`, clean: false });
      await subscribe(client, `own/${i}`, 1);
      client.send({ cmd: "disconnect" });
      await client.ended();
    }
    const { mock } = t.mock.method(MemoryStore.prototype, "page");
    await site.restart();
    count = mock.callCount();
    mock.restore();
    const last = await RawClient.connected(site.port, {
      clientId: `é:${sessions - 1}`,
      clean: false,
    });
    last.send(publish(`own/${sessions - 1}`, "is there", 1, 1));
    await last.next("publish");
    assert.deepEqual(payloads(last), ["is there"]);
  });
  return count;
}
