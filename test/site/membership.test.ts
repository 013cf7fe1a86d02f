import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Log, LogFields } from "../../src/base/log.ts";
import { type Site, site } from "../../src/site/site.ts";
import { SimEtcd, SimLink } from "../sim/site-etcd.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("membership of a site", () => {
  it("shows who joins and who leaves within a second, to all", async () => {
    const { clock, start, ids } = town();
    const a = await start("gw-a");
    await clock.run(1000);
    assert.deepEqual(ids(a), "gw-a");
    const b = await start("gw-b");
    await clock.run(2000);
    assert.deepEqual([ids(a), ids(b)], ["gw-a gw-b", "gw-a gw-b"]);
    const stopped = b.part.stop();
    await clock.run(3000);
    await stopped;
    assert.deepEqual(ids(a), "gw-a");
  });

  it("shows no longer who has fallen silent, after its registration's time", async () => {
    const { clock, start, ids } = town();
    const [a, b] = [await start("gw-a"), await start("gw-b")];
    await clock.run(2000);
    b.link.isCut = true;
    await clock.run(11_000);
    assert.equal(ids(a), "gw-a gw-b");
    await clock.run(13_500);
    assert.equal(ids(a), "gw-a");
    b.link.isCut = false;
    await clock.run(16_000);
    assert.equal(ids(a), "gw-a gw-b");
  });

  it("tells how far a journal is, once a second at most, and not when nothing has changed", async () => {
    const { clock, start, etcd } = town();
    const a = await start("gw-a");
    await clock.run(5000);
    const { revision } = etcd;
    await clock.run(15_000);
    assert.equal(etcd.revision, revision);
    const busy = clock.every(10, () => {
      a.seq++;
    });
    await clock.run(25_000);
    busy();
    const writes = etcd.revision - revision;
    assert.ok(writes >= 9 && writes <= 10, `${writes} writes in 10 s`);
    await clock.run(27_000);
    assert.equal(a.part.members.get()[0]?.offset, a.seq);
  });

  it("ignores garbage, counts it, and says so once", async () => {
    const { clock, start, etcd, ids } = town();
    const a = await start("gw-a");
    await clock.run(1000);
    const put = (key: string, value: string) =>
      etcd.commit([], [{ key: `fieldgate/s/${key}`, value }]);
    put("gateways/gw-b", "{");
    put("gateways/gw-c", '{"run":7}');
    put("election/standing/12", "garbage");
    await clock.run(25_000);
    assert.equal(ids(a), "gw-a");
    const { counters, membership } = a.part.status();
    assert.deepEqual([counters?.garbage, membership?.garbage], [1, 2]);
    const said = a.lines.filter((line) => line.includes("that say nothing"));
    assert.equal(said.length, 3); // once for each that came
    put("gateways/gw-a", "garbage over our own");
    await clock.run(27_000);
    assert.equal(a.part.members.get()[0]?.id, "gw-a");
    assert.equal(a.part.status().registration, "registered");
  });

  it("registers anew after etcd was wiped, and after its key was deleted", async () => {
    const { clock, start, etcd, ids } = town();
    const [a, b] = [await start("gw-a"), await start("gw-b")];
    await clock.run(5000);
    etcd.wipe();
    await clock.run(18_000);
    assert.deepEqual([ids(a), ids(b)], ["gw-a gw-b", "gw-a gw-b"]);
    etcd.delete("fieldgate/s/gateways/gw-a");
    await clock.run(18_100);
    assert.equal(ids(b), "gw-a gw-b");
  });
});

describe("the primary of a site", () => {
  it("is the one with the highest priority, and stays it when a higher one comes", async () => {
    const { clock, start } = town();
    const gateways = [await start("gw-a", { priority: 1 }), await start("gw-b", { priority: 2 })];
    await clock.run(6000);
    assert.deepEqual(gateways.map(actsAs), ["standby", "primary of epoch 1"]);
    const c = await start("gw-c", { priority: 3 });
    await clock.run(60_000);
    assert.deepEqual([...gateways, c].map(actsAs), ["standby", "primary of epoch 1", "standby"]);
    const stopped = gateways[1]?.part.stop();
    await clock.run(62_000);
    await stopped;
    assert.deepEqual([...gateways, c].map(actsAs), ["standby", "standby", "primary of epoch 2"]);
  });

  it("sends on when etcd is lost, to receivers that refuse outdated epochs, if it may", async () => {
    const { clock, start } = town();
    const bold = await start("gw-a");
    await clock.run(6000);
    bold.link.isCut = true;
    await clock.run(9000);
    assert.equal(bold.part.status().etcd, "silent");
    assert.deepEqual([bold.part.role.mayAct(), bold.part.role.mayUplink()], [false, true]);

    const careful = await start("gw-b", { onEtcdLoss: "hold" });
    await clock.run(20_000);
    assert.equal(careful.part.role.mayUplink(), true);
    careful.link.isCut = true;
    await clock.run(23_000);
    assert.equal(careful.part.role.get().at, "fenced");
    assert.deepEqual([careful.part.role.mayAct(), careful.part.role.mayUplink()], [false, false]);

    bold.link.isCut = false;
    await clock.run(26_000);
    assert.equal(actsAs(bold), "primary of epoch 3"); // above the other's
  });

  it("comes about whenever etcd does: a gateway starts without it", async () => {
    const { clock, etcd, start } = town();
    etcd.stop();
    const a = await start("gw-a");
    await clock.run(60_000);
    assert.deepEqual([actsAs(a), a.part.status().etcd], ["standby", "silent"]);
    etcd.start();
    await clock.run(68_000);
    assert.equal(actsAs(a), "primary of epoch 1");
    etcd.stop();
    const stopped = a.part.stop();
    await clock.run(70_000);
    await stopped;
    assert.deepEqual([actsAs(a), clock.monotonicMs()], ["standby", 70_000]);
  });
});

describe("two gateways with one id", () => {
  it("let the first one be, when the second has another store", async () => {
    const { clock, start } = town();
    const a = await start("gw-a", { journal: "journal-1" });
    await clock.run(6000);
    const twin = await start("gw-a", { journal: "journal-2" });
    await clock.run(10_000);
    assert.equal(twin.part.status().registration, "joining"); // it may be what is left of an earlier run
    await clock.run(30_000);
    assertDuplicate(twin);
    assert.equal(a.part.status().registration, "registered");
    assert.equal(a.part.role.mayAct(), true);
  });

  it("let the first one be, when the second runs on a copy of its disk", async () => {
    const { clock, start } = town();
    const a = await start("gw-a", { journal: "journal-1" });
    await clock.run(6000);
    const twin = await start("gw-a", { journal: "journal-1" });
    await clock.run(8000);
    assertDuplicate(twin);
    assert.equal(a.part.status().registration, "registered");
    await clock.run(20_000);
    assert.equal(a.part.role.mayAct(), true);
    assert.equal(twin.part.role.mayAct(), false);
  });

  it("take part, the second too, when the first one has gone", async () => {
    const { clock, start } = town();
    const a = await start("gw-a", { journal: "journal-1" });
    await clock.run(6000);
    const twin = await start("gw-a", { journal: "journal-1" });
    await clock.run(8000);
    a.link.isCut = true;
    await clock.run(25_000);
    const { registration, lastError } = twin.part.status();
    assert.deepEqual([registration, lastError], ["registered", null]);
    assert.equal(twin.part.role.mayAct(), true);
    assert.equal(a.part.role.mayAct(), false);
  });

  it("are one gateway that crashed and came back: it registers at once", async () => {
    const { clock, start } = town();
    const a = await start("gw-a", { journal: "journal-1" });
    await clock.run(6000);
    a.link.isCut = true;
    const again = await start("gw-a", { journal: "journal-1" });
    await clock.run(7000);
    assert.equal(again.part.status().registration, "registered");
    await clock.run(12_000);
    assert.equal(again.part.role.mayAct(), true);
  });
});

interface Citizen {
  readonly part: Site;
  readonly link: SimLink;
  readonly lines: string[];
  seq: number;
}

interface Wishes {
  readonly journal?: string;
  readonly priority?: number;
  readonly onEtcdLoss?: "cloud-fenced" | "hold";
}

/** A site on a simulated etcd, in virtual time. */
function town() {
  const clock = new SimClock();
  const random = seededRandom(6);
  const etcd = new SimEtcd(clock, random);
  const start = async (
    gateway: string,
    { journal = `journal-${gateway}`, priority = 100, onEtcdLoss = "cloud-fenced" }: Wishes = {},
  ): Promise<Citizen> => {
    const link = new SimLink(etcd, clock, random);
    const lines: string[] = [];
    const rows = new Map<string, Uint8Array>();
    const part = site(
      {
        endpoints: ["http://sim:1"],
        registrationTtlSeconds: 10,
        primaryTtlSeconds: 3,
        priority,
        onEtcdLoss,
      },
      {
        clock,
        log: logTo(lines),
        random,
        identity: { gateway, site: "s" },
        version: "0",
        rows: {
          get: async (key) => rows.get(key),
          put: async (key, value) => void rows.set(key, value),
        },
        journalOffset: () => ({ id: journal, seq: citizen.seq }),
        etcd: link,
      },
    );
    const citizen: Citizen = { part, link, lines, seq: 0 };
    await part.start(new AbortController().signal);
    return citizen;
  };
  const ids = ({ part }: Citizen) =>
    part.members
      .get()
      .map(({ id }) => id)
      .join(" ");
  return { clock, etcd, start, ids };
}

function actsAs({ part }: Citizen): string {
  const role = part.role.get();
  assert.equal(part.role.mayAct(), role.at === "primary");
  return role.at === "standby" ? role.at : `${role.at} of epoch ${role.epoch}`;
}

function assertDuplicate({ part, lines }: Citizen): void {
  const { registration, lastError } = part.status();
  assert.equal(registration, "duplicate");
  assert.equal(lastError?.["code"], "ERR_SITE_DUPLICATE");
  assert.match(String(lastError?.["error"]), /another gateway with the id gw-a is running/);
  assert.equal(
    lines.filter((line) => line.includes("error another gateway with the id")).length,
    1,
  );
  assert.equal(part.role.mayAct(), false);
}

function logTo(lines: string[]): Log {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  const log: Log = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    part: () => log,
  };
  return log;
}
