import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { Access, Rights } from "../../src/broker/access.ts";
import { RetainedSources } from "../../src/broker/retained-sources.ts";
import { memory } from "../support/memory.ts";

const CLIENTS = 3_000;

test("of who has retained something nothing is kept once nothing of theirs is retained", async () => {
  const sources = new RetainedSources(ROWS, ACCESS, silentLog);
  await sources.load();
  const publish = (from: number) => {
    for (let i = from; i < from + CLIENTS; i++) {
      // Each replaces what the one before it had retained, and it is given out.
      sources.note("plant/last", false, rightsOf(`client-${i}-${"x".repeat(100)}`));
      sources.mayStand("plant/last");
      sources.note(`plant/${i}`, false, rightsOf(`other-${i}-${"x".repeat(100)}`));
      sources.note(`plant/${i}`, true, null);
    }
  };
  publish(0);
  const before = await memory();
  publish(CLIENTS);
  const after = await memory();
  assert.equal(sources.countOf(rightsOf(`other-1-${"x".repeat(100)}`)), 0);
  const grownBytes = after.heap - before.heap;
  assert.ok(grownBytes < CLIENTS * 100, `${grownBytes} bytes more for ${2 * CLIENTS} clients more`);
});

const ROWS = {
  get: async () => undefined,
  async *entries() {},
  put: async () => {},
  del: async () => {},
  clear: async () => {},
};
const ACCESS = {
  rightsOf: (principal: Rights["principal"], clientId: string) => ({
    ...RIGHTS,
    clientId,
    principal,
  }),
  onChange: () => () => {},
} as unknown as Access;
const RIGHTS = { mayPublish: () => true, maySubscribe: () => true, mayReceive: () => true };

function rightsOf(clientId: string): Rights {
  return {
    ...RIGHTS,
    clientId,
    principal: { user: null, method: "anonymous", roles: [], claims: {} },
  };
}
