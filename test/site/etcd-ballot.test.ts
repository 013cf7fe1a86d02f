import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SiteView } from "../../src/site/election.ts";
import { EtcdBallot } from "../../src/site/etcd-ballot.ts";
import type { Etcd } from "../../src/site/etcd-port.ts";
import { keysOf, readHolder, writeHolder } from "../../src/site/records.ts";
import { SimEtcd, SimLink } from "../sim/site-etcd.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("a ballot", () => {
  it("counts a lease's time from before the request was sent", async () => {
    const { clock, ballot, done } = polls();
    await clock.run(1000);
    const lease = await done(ballot.stand());
    assert.equal(lease.sentMs, 1000);
    assert.equal(lease.sentWallMs, 1_700_000_001_000);
    assert.ok(clock.monotonicMs() >= 1600, "three requests of 200 ms");
    await clock.run(5000);
    assert.equal((await done(ballot.renew(lease)))?.sentMs, 5000);
  });

  it("reads after it has renewed, and knows a lease that has ended", async () => {
    const { ballot, done, store, asked } = polls();
    const lease = await done(ballot.stand());
    asked.length = 0;
    await done(ballot.renew(lease));
    assert.deepEqual(asked, ["renew", "refresh"]);
    store.revoke(lease.id);
    assert.equal(await done(ballot.renew(lease)), null);
  });

  it("takes the place of one that does not stand", async () => {
    const { standing, take, epoch } = polls();
    const [a] = [await standing("gw-a")];
    await take(7, a, vacant({ lease: "4711", epoch: 6, revision: 0 }));
    assert.equal(epoch(), "7 gw-a");
  });

  it("does not take it when the epoch has changed", async () => {
    const { standing, take, epoch, store } = polls();
    const a = await standing("gw-a");
    put(store, 6, "gw-b", "4711");
    await take(7, a, vacant({ lease: "4711", epoch: 6, revision: 0 }));
    assert.equal(epoch(), "6 gw-b");
  });

  it("does not take it when it does not stand any more itself", async () => {
    const { standing, take, epoch, store } = polls();
    const a = await standing("gw-a");
    store.revoke(a);
    await take(7, a, vacant(null));
    assert.equal(epoch(), "nobody");
  });

  it("does not take it from one whose key was deleted and whose lease lives, or the other way round", async () => {
    const { standing, take, epoch, store, lies } = polls();
    const [a, b] = [await standing("gw-a"), await standing("gw-b")];
    const revision = put(store, 6, "gw-b", b);
    store.delete(keys.standing(b));
    await take(7, a, vacant({ lease: b, epoch: 6, revision }));
    assert.equal(epoch(), "6 gw-b");
    const c = await standing("gw-c");
    lies.leaseLives = false;
    const again = put(store, 6, "gw-c", c);
    await take(7, a, vacant({ lease: c, epoch: 6, revision: again }));
    assert.equal(epoch(), "6 gw-c");
  });

  it("takes it although garbage was written over the last one's key", async () => {
    const { standing, take, epoch, store } = polls();
    const [a, b] = [await standing("gw-a"), await standing("gw-b")];
    const revision = put(store, 6, "gw-b", b);
    store.commit([], [{ key: keys.standing(b), value: "garbage" }]);
    store.revoke(b);
    await take(7, a, vacant({ lease: b, epoch: 6, revision }));
    assert.equal(epoch(), "7 gw-a");
  });

  it("takes it neither from one that is named nor from the one that has named it, while they stand", async () => {
    const { standing, take, epoch, store } = polls();
    const [a, b, c] = [await standing("gw-a"), await standing("gw-b"), await standing("gw-c")];
    const before = { epoch: 5, gateway: "gw-b", lease: b };
    const holder = { epoch: 6, gateway: "gw-c", lease: c, after: before };
    store.commit([], [{ key: keys.epoch, value: writeHolder(holder) }]);
    const { revision } = store;
    await take(7, a, { ...vacant(null), holder, holderRevision: revision });
    assert.equal(epoch(), "6 gw-c after 5 gw-b");
    store.revoke(c);
    await take(7, a, { ...vacant(null), holder, holderRevision: revision });
    assert.equal(epoch(), "6 gw-c after 5 gw-b");
    store.revoke(b);
    await take(7, a, { ...vacant(null), holder, holderRevision: revision });
    assert.equal(epoch(), "7 gw-a");
  });

  it("names the next one only while both stand and nothing has changed", async () => {
    const { standing, ballot, done, epoch, store } = polls();
    const [a, b] = [await standing("gw-a"), await standing("gw-b")];
    const revision = put(store, 6, "gw-a", a);
    const next = { epoch: 7, gateway: "gw-b", lease: b };
    const name = (lease: string, seen: number) => {
      const own = { epoch: 6, gateway: "gw-a", lease };
      return done(ballot.name(next, own, vacant({ ...own, revision: seen })));
    };
    assert.equal(await name(a, revision - 1), false);
    assert.equal(await name("4711", revision), false);
    assert.equal(epoch(), "6 gw-a");
    assert.equal(await name(a, revision), true);
    assert.equal(epoch(), "7 gw-b after 6 gw-a");
    const later = put(store, 8, "gw-a", a);
    store.revoke(b);
    assert.equal(await name(a, later), false);
  });
});

const keys = keysOf("s");

/** A view in which nobody stands, with who was last. */
function vacant(last: { lease: string; epoch: number; revision: number } | null): SiteView {
  const holder = last === null ? null : { epoch: last.epoch, gateway: "gw-x", lease: last.lease };
  return { generation: 0, holder, holderRevision: last?.revision ?? 0, standing: new Map() };
}

/** @returns the revision */
function put(store: SimEtcd, epoch: number, gateway: string, lease: string): number {
  store.commit([], [{ key: keys.epoch, value: writeHolder({ epoch, gateway, lease }) }]);
  return store.revision;
}

/** A ballot of gw-a on a simulated etcd, each way 100 ms long. */
function polls() {
  const clock = new SimClock();
  const store = new SimEtcd(clock, () => 0.5);
  const link = new SimLink(store, clock, () => 1);
  link.weather = { ...link.weather, latencyMsMax: 100 };
  const asked: string[] = [];
  const lies: { leaseLives?: boolean } = {};
  const etcd: Etcd = {
    grant: (ttlSeconds) => link.grant(ttlSeconds),
    renew: (lease) => {
      asked.push("renew");
      return link.renew(lease);
    },
    revoke: (lease) => link.revoke(lease),
    leaseLives: async (lease) => lies.leaseLives ?? link.leaseLives(lease),
    list: (prefix) => link.list(prefix),
    commit: (when, puts) => link.commit(when, puts),
    watch: (prefix, from, listener) => link.watch(prefix, from, listener),
    close: () => link.close(),
  };
  const refresh = async () => {
    asked.push("refresh");
    await link.list(keys.election);
  };
  const of = (gateway: string) =>
    new EtcdBallot({ clock, etcd, keys, gateway, ttlSeconds: 30, refresh });
  const ballot = of("gw-a");
  const done = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    const settled = work.finally(() => {
      isDone = true;
    });
    settled.catch(() => undefined);
    while (!isDone) await clock.run(clock.monotonicMs() + 10);
    return settled;
  };
  const standing = async (gateway: string) => (await done(of(gateway).stand())).id;
  const take = (epoch: number, lease: string, view: SiteView) =>
    done(ballot.take(epoch, lease, view));
  const epoch = () => {
    const entry = store.list(keys.epoch).entries[0];
    const holder = entry === undefined ? null : readHolder(entry);
    if (holder === null) return "nobody";
    const { after } = holder;
    const before = after === undefined ? "" : ` after ${after.epoch} ${after.gateway}`;
    return `${holder.epoch} ${holder.gateway}${before}`;
  };
  return { clock, store, ballot, asked, lies, done, standing, take, epoch };
}
