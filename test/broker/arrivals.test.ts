import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { networkOf } from "../../src/base/network.ts";
import { Arrivals } from "../../src/broker/arrivals.ts";
import { SimClock } from "../support/sim-clock.ts";

const LIMITS = {
  ...{ connectionsMax: 1000, connectionsPerAddressMax: 1000 },
  ...{ connectRate: 100, connectRatePerAddress: 100 },
};
const LATE = "too many new connections a second";
const LATE_THERE = "too many new connections a second of one address";

describe("arrivals", () => {
  it("are let in as many a second as the rate says, that many at once", async () => {
    const { pass, enter } = site({ connectionsMax: 10, connectRate: 4 });
    const each = (times: number) => Array.from({ length: times }, (_, i) => enter(`${times}-${i}`));
    assert.deepEqual(each(5), [null, null, null, null, LATE]);
    await pass(500);
    assert.deepEqual(each(3), [null, null, LATE]);
    await pass(60_000);
    assert.deepEqual(each(6), [null, null, null, null, "too many connections", TOO_MANY]);
  });

  it("of one address leave room for others, and leave it again", () => {
    const { arrivals, enter } = site({ connectionsPerAddressMax: 3 });
    const one = "too many connections of one address";
    assert.deepEqual(["a", "a", "a", "a", "b", "__proto__"].map(enter), [
      null,
      null,
      null,
      one,
      null,
      null,
    ]);
    arrivals.leave("a");
    assert.deepEqual([enter("a"), enter("a")], [null, one]);
  });

  it("of one address are as many a second as its own rate says; others notice nothing", async () => {
    const { pass, arrivals, enter } = site({ connectRatePerAddress: 10 });
    let entered = 0;
    for (let ms = 0; ms < 10_000; ms += 20) {
      await pass(20);
      const said = enter("loops");
      if (said === null) {
        entered++;
        arrivals.leave("loops");
      } else assert.equal(said, LATE_THERE);
      if (ms % 100 === 0) assert.equal(enter(`10.0.${ms / 100}.1`), null);
    }
    assert.ok(entered >= 100 && entered <= 111, `${entered} in ten seconds`);
  });

  it("of one /64 of IPv6 are of one address; of IPv4 it is the same with IPv6 around it", () => {
    const { enter } = site({ connectRatePerAddress: 2 });
    const asked = ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8::3", "2001:db8:0:1::3"];
    assert.deepEqual(asked.map(enter), [null, null, LATE_THERE, null]);
    const mapped = ["::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.2"];
    assert.deepEqual(mapped.map(enter), [null, null, LATE_THERE, null]);
  });

  it("of addresses that keep coming leave a quarter of the rate to those that come seldom", async () => {
    const { pass, arrivals, enter } = site({ connectRatePerAddress: 50 });
    const flood = () => {
      let late = 0;
      for (let i = 0; i < 200; i++) {
        const address = `10.0.0.${i % 20}`;
        if (enter(address) === null) arrivals.leave(address);
        else late++;
      }
      return late;
    };
    let newcomers = 0;
    for (let ms = 0; ms < 5000; ms += 50) {
      await pass(50);
      assert.ok(flood() > 0);
      if (ms % 100 === 0 && enter(`10.1.${ms / 100}.1`) === null) newcomers++;
    }
    assert.equal(newcomers, 50);
  });

  it("are forgotten a second after they have left: what is remembered is bounded by the rate", async () => {
    const { pass, arrivals, enter } = site({});
    for (let i = 0; i < 5000; i++) {
      const address = `10.${i >> 8}.${i & 255}.1`;
      if (enter(address) === null) arrivals.leave(address);
      if (i % 10 === 0) await pass(20);
    }
    assert.ok(arrivals.remembered <= 201, `${arrivals.remembered}`);
    await pass(1000);
    assert.equal(enter("10.0.0.1"), null);
    assert.equal(arrivals.remembered, 1);
  });

  it("are not forgotten before, so that who leaves at once gains nothing", () => {
    const { arrivals, enter } = site({ connectRatePerAddress: 3 });
    const said = Array.from({ length: 5 }, () => {
      const answer = enter("a");
      if (answer === null) arrivals.leave("a");
      return answer;
    });
    assert.deepEqual(said, [null, null, null, LATE_THERE, LATE_THERE]);
  });
});

it("a network is an address of IPv4, and the first half of one of IPv6, however it is written", () => {
  const cases = {
    "10.0.0.1": "10.0.0.1",
    "::ffff:10.0.0.1": "10.0.0.1",
    "::1": "0:0:0:0::/64",
    "fe80::1:2": "fe80:0:0:0::/64",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8::": "2001:db8:0:0::/64",
    "": "",
  };
  for (const [address, network] of Object.entries(cases)) assert.equal(networkOf(address), network);
});

const TOO_MANY = "too many connections";

function site(limits: Partial<typeof LIMITS>) {
  const clock = new SimClock();
  const arrivals = new Arrivals({ ...LIMITS, ...limits }, clock);
  const pass = (ms: number) => clock.run(clock.monotonicMs() + ms);
  return { pass, arrivals, enter: (address: string) => arrivals.enter(address) };
}
