import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import {
  hostSynchronised,
  hostTimeSources,
  SYSTEM_TIME_PLACES,
  type TimePlaces,
} from "../../src/health/host-time-sources.ts";
import { Timekeeper, type TimeSources } from "../../src/health/timekeeper.ts";
import { SimClock } from "../support/sim-clock.ts";

const PLAUSIBLE_MS = 1_800_000_000_000;

describe("the timekeeper", () => {
  it("knows a clock that nobody has set: it stands before 2026", async () => {
    await check({ wallMs: 1000, answers: [false], battery: true }, "unset");
  });

  it("does not believe a time that looks right when no battery kept it", async () => {
    await check({ wallMs: PLAUSIBLE_MS, answers: [false], battery: false }, "unset");
    await check({ wallMs: PLAUSIBLE_MS, answers: [false], battery: true }, "free-running");
  });

  it("counts a time that can be right as free-running where nobody can tell", async () => {
    await check({ wallMs: PLAUSIBLE_MS, answers: [null], battery: false }, "free-running");
  });

  it("says synchronised when the machine does, and free-running when it no longer is", async () => {
    await check(
      { wallMs: PLAUSIBLE_MS, answers: [false, true, false], battery: false },
      "unset synchronised free-running",
    );
  });

  it("asks at once when the clock is set, tells of it, and counts it", async () => {
    const machine = new Machine(1000, [false, true], false);
    const keeper = machine.keeper(3600);
    let told = 0;
    keeper.follow(() => told++);
    await keeper.start(new AbortController().signal);
    await machine.clock.run(10_000);
    assert.deepEqual([keeper.quality(), machine.asked, told], ["unset", 1, 0]);
    machine.wallMs += 2_000_000_000;
    await machine.clock.run(12_000);
    assert.deepEqual([keeper.quality(), machine.asked], ["synchronised", 2]);
    const { steps, lastStepMs } = keeper.status();
    assert.deepEqual([steps, lastStepMs, told], [1, 2_000_000_000, 2]);
    await keeper.stop();
  });

  it("is not told by less than a second, nor asks more often than it was told to", async () => {
    const machine = new Machine(PLAUSIBLE_MS, [true], false);
    const keeper = machine.keeper(60);
    await keeper.start(new AbortController().signal);
    for (let ms = 1000; ms <= 119_000; ms += 1000) {
      machine.wallMs += 7; // drifts
      await machine.clock.run(ms);
    }
    assert.deepEqual([machine.asked, keeper.status().steps], [2, 0]);
    await keeper.stop();
  });

  it("asks less and less often while the answer stays, and again as at first when it changes", async () => {
    const machine = new Machine(PLAUSIBLE_MS, [...Array(12).fill(false), true, true], false);
    const keeper = machine.keeper(60);
    await keeper.start(new AbortController().signal);
    const askedBy = async (minutes: number) => {
      await machine.clock.run(minutes * 60_000 + 1000);
      return machine.asked;
    };
    // After 0, 1, 3, 7, 15, 31 minutes; then every 16.
    assert.deepEqual([await askedBy(5), await askedBy(13), await askedBy(31)], [3, 4, 6]);
    assert.deepEqual([await askedBy(46), await askedBy(141), keeper.quality()], [6, 12, "unset"]);
    assert.deepEqual([await askedBy(143), keeper.quality()], [13, "synchronised"]);
    assert.deepEqual([await askedBy(144), await askedBy(145)], [14, 14]);
    await keeper.stop();
  });

  it("asks nothing with 0", async () => {
    const machine = new Machine(PLAUSIBLE_MS, [true], true);
    const keeper = machine.keeper(0);
    await keeper.start(new AbortController().signal);
    await machine.clock.run(100_000);
    assert.deepEqual([machine.asked, keeper.quality()], [0, "free-running"]);
    await keeper.stop();
  });

  it("counts the time since the machine was started, not since the program was", () => {
    const machine = new Machine(PLAUSIBLE_MS, [], true);
    assert.equal(machine.keeper(60).bootMs(), BOOTED_MS);
  });
});

describe("the machine, asked for its time", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "time-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const places = (says: Record<string, string>): TimePlaces => ({
    bootId: join(directory, "boot_id"),
    timesync: join(directory, "synchronized"),
    rtcDirectory: join(directory, "rtc"),
    async run(program) {
      const said = says[program];
      if (said === undefined) throw new Error(`no ${program}`);
      return said;
    },
  });

  it("believes the kernel, then chrony, then the mark of timesyncd, and else nobody", async () => {
    const chrony = (status: string) => `Reference ID : 0\nLeap status     : ${status}\n`;
    const asked = (says: Record<string, string>) => hostSynchronised(places(says));
    assert.equal(await asked({ timedatectl: "yes\n", chronyc: chrony("Not synchronised") }), true);
    assert.equal(await asked({ timedatectl: "no\n" }), false);
    assert.equal(await asked({ chronyc: chrony("Normal") }), true);
    assert.equal(await asked({ chronyc: chrony("Not synchronised") }), false);
    assert.equal(await asked({ chronyc: "506 Cannot talk to daemon" }), null);
    await writeFile(join(directory, "synchronized"), "");
    assert.equal(await asked({}), true);
    assert.equal(await asked({ timedatectl: "no" }), false, "the mark is never taken away");
  });

  it("takes the boot id from its file, or from the environment where that is hidden", async () => {
    const id = "2f6c2f0e-3a51-4b1e-9a0c-7d3c0b1d2e3f";
    const bare = id.replaceAll("-", "");
    const of = (environment: Record<string, string>) =>
      hostTimeSources(() => 0, environment, places({})).bootId;
    assert.match(of({}), /^[0-9a-f]{32}$/);
    assert.notEqual(of({}), of({}), "without either each run of the program is one by itself");
    await writeFile(join(directory, "boot_id"), `${id}\n`);
    assert.equal(of({}), bare);
    assert.equal(of({ FIELDGATE_BOOT_ID: "0".repeat(32) }), "0".repeat(32));
  });

  it("sees a clock with a battery", async () => {
    const sources = hostTimeSources(() => 0, {}, places({}));
    assert.equal(await sources.hasBatteryClock(), false);
    await mkdir(dirname(join(directory, "rtc/rtc0/name")), { recursive: true });
    assert.equal(await sources.hasBatteryClock(), true);
  });

  it("answers on this machine, whatever it is", async () => {
    const { bootId } = hostTimeSources(() => 0, {});
    assert.equal(bootId, hostTimeSources(() => 0, {}).bootId);
    assert.ok([true, false, null].includes(await hostSynchronised(SYSTEM_TIME_PLACES)));
  });
});

const BOOTED_MS = 77_000;

class Machine {
  readonly clock: SimClock & { wallMs(): number };
  wallMs: number;
  asked = 0;
  readonly #answers: (boolean | null)[];
  readonly #battery: boolean;

  constructor(wallMs: number, answers: (boolean | null)[], battery: boolean) {
    this.wallMs = wallMs;
    this.#answers = answers;
    this.#battery = battery;
    this.clock = new SimClock();
    this.clock.wallMs = () => this.wallMs + this.clock.monotonicMs();
  }

  keeper(seconds: number): Timekeeper {
    const sources: TimeSources = {
      bootId: "0".repeat(32),
      bootMs: () => BOOTED_MS + this.clock.monotonicMs(),
      synchronised: async () => {
        this.asked += 1;
        return (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) ?? null;
      },
      hasBatteryClock: async () => this.#battery,
    };
    return new Timekeeper(seconds * 1000, sources, { clock: this.clock, log: silentLog });
  }
}

/** What the clock is worth after each answer of the machine. */
async function check(
  of: { wallMs: number; answers: (boolean | null)[]; battery: boolean },
  trace: string,
): Promise<void> {
  const machine = new Machine(of.wallMs, [...of.answers], of.battery);
  const keeper = machine.keeper(60);
  await keeper.start(new AbortController().signal);
  const seen: string[] = [];
  for (let i = 0; i < of.answers.length; i++) {
    await machine.clock.run(i * 60_000 + 1500);
    seen.push(keeper.quality());
  }
  await keeper.stop();
  assert.equal(seen.join(" "), trace);
}
