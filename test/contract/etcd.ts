import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Etcd, EtcdChange } from "../../src/site/etcd-port.ts";

export interface EtcdKind {
  readonly name: string;
  open(): Promise<Etcd>;
  /** Resolves when the claim holds; rejects when it does not within 10 s of etcd's time. */
  until(what: string, claim: () => boolean | Promise<boolean>): Promise<void>;
  /** Lets work of etcd's go on until it is done. */
  done<T>(work: Promise<T>): Promise<T>;
  end(): Promise<void>;
}

/** What every implementation of the etcd port promises. */
export function etcdContract(kind: EtcdKind): void {
  describe(`${kind.name}: etcd`, () => {
    after(() => kind.end());
    let opened: Promise<Etcd> | null = null;
    let serial = 0;
    const open = () => {
      opened ??= kind.open();
      return opened;
    };
    const prefix = () => `contract/${++serial}/`;

    it("lists what is under a prefix, and nothing beside it", async () => {
      const [etcd, under] = [await open(), prefix()];
      const puts = ["a", "b/c", "ü"].map((key) => ({ key: under + key, value: `${key}!` }));
      assert.equal(await kind.done(etcd.commit([], puts)), true);
      await kind.done(etcd.commit([], [{ key: `${under.slice(0, -1)}0`, value: "beside" }]));
      const { entries, revision } = await kind.done(etcd.list(under));
      assert.deepEqual(
        entries.map(({ key, value, lease }) => [key, value, lease]).sort(),
        puts.map(({ key, value }) => [key, value, "0"]),
      );
      assert.ok(entries.every(({ modRevision }) => modRevision === revision - 1));
    });

    it("writes all or nothing, only when every condition holds", async () => {
      const [etcd, under] = [await open(), prefix()];
      const [a, b] = [`${under}a`, `${under}b`];
      const write = (...when: Parameters<Etcd["commit"]>[0]) =>
        kind.done(
          etcd.commit(
            when,
            [a, b].map((key) => ({ key, value: "1" })),
          ),
        );
      assert.equal(await write({ key: a, is: "present" }), false);
      assert.deepEqual((await kind.done(etcd.list(under))).entries, []);
      assert.equal(await write({ key: a, is: "unchanged", modRevision: 1 }), false);
      assert.equal(await write({ key: a, is: "unchanged", modRevision: 0 }), true);
      assert.equal(await write({ key: a, is: "absent" }), false);
      assert.equal(await write({ key: b, is: "present" }, { key: a, is: "absent" }), false);
      const { entries } = await kind.done(etcd.list(under));
      const modRevision = entries[0]?.modRevision ?? 0;
      assert.equal(await write({ key: a, is: "unchanged", modRevision }), true);
      assert.equal(await write({ key: a, is: "unchanged", modRevision }), false);
    });

    it("writes only when a key does not hang on a lease", async () => {
      const [etcd, under] = [await open(), prefix()];
      const key = `${under}a`;
      const { lease } = await kind.done(etcd.grant(5));
      const write = (other: string) =>
        kind.done(
          etcd.commit([{ key, is: "not under", lease: other }], [{ key, value: "", lease }]),
        );
      assert.equal(await write(lease), true); // no such key
      assert.equal(await write(lease), false);
      assert.equal(await write("7"), true);
      await kind.done(etcd.commit([], [{ key, value: "" }]));
      assert.equal(await write(lease), true);
    });

    it("ends a lease's keys with the lease, by revoking", async () => {
      const [etcd, under] = [await open(), prefix()];
      const { lease, ttlMs } = await kind.done(etcd.grant(5));
      assert.ok(ttlMs >= 5000);
      await kind.done(etcd.commit([], [{ key: `${under}a`, value: "", lease }]));
      assert.equal((await kind.done(etcd.list(under))).entries[0]?.lease, lease);
      assert.equal(await kind.done(etcd.renew(lease)), ttlMs);
      assert.equal(await kind.done(etcd.leaseLives(lease)), true);
      await kind.done(etcd.revoke(lease));
      assert.deepEqual((await kind.done(etcd.list(under))).entries, []);
      assert.equal(await kind.done(etcd.renew(lease)), null);
      assert.equal(await kind.done(etcd.leaseLives(lease)), false);
      await kind.done(etcd.revoke(lease));
    });

    it("ends a lease's keys when it is not renewed", async () => {
      const [etcd, under] = [await open(), prefix()];
      const { lease } = await kind.done(etcd.grant(3));
      await kind.done(etcd.commit([], [{ key: `${under}a`, value: "", lease }]));
      await kind.until("the key is gone", async () => {
        return (await kind.done(etcd.list(under))).entries.length === 0;
      });
      assert.equal(await kind.done(etcd.leaseLives(lease)), false);
    });

    it("refuses a put under a lease that has ended, with a code", async () => {
      const [etcd, under] = [await open(), prefix()];
      const { lease } = await kind.done(etcd.grant(5));
      await kind.done(etcd.revoke(lease));
      const put = kind.done(etcd.commit([], [{ key: `${under}a`, value: "", lease }]));
      await assert.rejects(put, { code: "ERR_ETCD" });
    });

    it("tells what changes from a revision on, in order, until it is ended", async () => {
      const [etcd, under] = [await open(), prefix()];
      const put = (value: string) => kind.done(etcd.commit([], [{ key: `${under}a`, value }]));
      const { revision } = await kind.done(etcd.list(under));
      await put("before the watch");
      const seen: string[] = [];
      const changed = (changes: readonly EtcdChange[]) => {
        for (const change of changes) seen.push("put" in change ? change.put.value : "deleted");
      };
      const trouble = (error: Error) => assert.fail(error);
      const end = etcd.watch(under, revision + 1, { changed, trouble });
      await put("after it");
      const { lease } = await kind.done(etcd.grant(5));
      await kind.done(etcd.commit([], [{ key: `${under}b`, value: "leased", lease }]));
      await kind.done(etcd.commit([], [{ key: `${under.slice(0, -1)}0`, value: "beside" }]));
      await kind.done(etcd.revoke(lease));
      const expected = ["before the watch", "after it", "leased", "deleted"];
      await kind.until("all seen", () => seen.length >= expected.length);
      end();
      await put("after the end");
      const late: string[] = [];
      const again = etcd.watch(under, revision + 1, {
        changed: (changes) => late.push(...changes.map(() => "")),
        trouble,
      });
      await kind.until("all seen again", () => late.length === expected.length + 1);
      again();
      assert.deepEqual(seen, expected);
    });
  });
}
