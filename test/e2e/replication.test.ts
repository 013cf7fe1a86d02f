import assert from "node:assert/strict";
import { it } from "node:test";
import { BookedSite } from "../support/site-books.ts";
import { until } from "../support/until.ts";
import { verdicts } from "../support/verdicts.ts";

/** What is acknowledged alone, as `accept` allows, goes with its disk: on a busy machine the peer may be late for a moment. */
const NEVER_ALONE = { peer: { whenAlone: "reject" } };

it("what two gateways have acknowledged under safe is in the cloud, in order, when the primary is killed and its disk is gone", async () => {
  await BookedSite.run({ gateways: { "gw-a": NEVER_ALONE, "gw-b": {} } }, async (site) => {
    const [primary, other] = [site.gateway("gw-a"), site.gateway("gw-b")];
    if ((await site.primary(site.gateways)) !== primary) await other.command("site", "hand-over");
    await site.primary([primary]);
    await site.acknowledged(300);
    await primary.lose();
    await site.primary([other]);
    await site.balance([primary]);
    const status = await other.status();
    assert.equal(status.replication?.isAlone, true, "it says that it is alone");
    assert.ok((status.replication?.counters.syncLost ?? 0) > 0);
    assert.equal(await other.program.terminate(), 0);
  });
});

it("of three gateways, the one that takes over gets from the third what the dead one had acknowledged, and carries it to the cloud", async () => {
  const gateways = {
    "gw-a": { cluster: { priority: 300 }, ...NEVER_ALONE },
    "gw-b": { cluster: { priority: 10 } },
    "gw-c": { cluster: { priority: 200 } },
  };
  // Slow enough that the two are alike to the election, and priority decides.
  await BookedSite.run({ gateways, sendersEach: 1, perSecond: 100 }, async (site) => {
    const [a, b, c] = [site.gateway("gw-a"), site.gateway("gw-b"), site.gateway("gw-c")];
    await site.acknowledged(100);
    const { durableSeq } = (await a.status()).journal;
    c.program.freeze();
    await until("c is not in sync", async () => {
      const { replication, journal } = await a.status();
      return replication?.inSync.join() === "gw-b" && journal.durableSeq > durableSeq;
    });
    await site.acknowledged(50, site.of(a));
    const { out } = await a.command("doctor", "--only", "peers", "--json");
    const told = verdicts(JSON.parse(out).findings);
    assert.deepEqual(told, { "peers.gw-b": "fine", "peers.gw-c": "warning" });
    await a.lose();
    c.program.thaw();

    await site.primary([b, c]);
    await until("c has what b has", async () => {
      const copies = await Promise.all([b, c].map(async (one) => (await one.status()).replication));
      const [had, got] = copies.map((copy) =>
        copy?.replicas.find(({ gateway }) => gateway === "gw-a"),
      );
      return had !== undefined && had.seq === got?.seq;
    });
    const { counters } = (await c.status()).replication ?? {};
    assert.ok((counters?.blocksRelayed ?? 0) > 0, "from b");
    // c is the one to show that it can.
    await site.inSync([b, c]);
    const gone = [a];
    if ((await site.primary([b, c])) === b) {
      gone.push(b);
      assert.equal(await b.program.terminate(), 0);
    }
    assert.equal(await site.primary([c]), c);
    await site.balance(gone);
  });
});
