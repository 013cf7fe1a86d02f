import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { examine } from "../../src/doctor/doctor.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { clockChecks } from "../../src/doctor/host-clock-checks.ts";
import { machineChecks } from "../../src/doctor/host-machine-checks.ts";
import { verdicts } from "../support/verdicts.ts";

describe("the doctor, asked about the machine", () => {
  it("judges memory, temperature and supply by what the kernel and the firmware say", () =>
    withPlaces(async (says) => {
      await says("meminfo", "MemTotal: 500000 kB\nMemAvailable: 200000 kB\n");
      await says("thermal/thermal_zone0/temp", "51234\n");
      await says("throttled", "0\n");
      assert.deepEqual(verdicts(await says.examined()), {
        "machine.memory": "fine",
        "machine.temperature": "fine",
        "machine.supply": "fine",
        "machine.throttling": "fine",
      });
      await says("meminfo", "MemTotal: 500000 kB\nMemAvailable: 20000 kB\n");
      await says("thermal/thermal_zone0/temp", "78000\n");
      await says("throttled", "50000\n");
      assert.deepEqual(verdicts(await says.examined()), {
        "machine.memory": "warning",
        "machine.temperature": "warning",
        "machine.supply": "warning",
        "machine.throttling": "warning",
      });
      await says("thermal/thermal_zone0/temp", "81000\n");
      await says("throttled", "50005\n");
      const worst = verdicts(await says.examined());
      assert.equal(worst["machine.temperature"], "critical");
      assert.equal(worst["machine.supply"], "critical");
    }));

  it("says so where the machine does not tell", () =>
    withPlaces(async (says) => {
      assert.deepEqual(verdicts(await says.examined()), {
        "machine.memory": "unknown",
        "machine.temperature": "unknown",
        "machine.supply": "unknown",
        "machine.throttling": "unknown",
      });
    }));
});

describe("the doctor, asked about the clock", () => {
  const at = (text: string) => ({ ...systemClock, wallMs: () => Date.parse(text) });
  const sources = (answer: boolean | null, rtcDirectory = "/nowhere") => ({
    synchronised: async () => answer,
    rtcDirectory,
  });

  it("knows a clock that was never set", async () => {
    const found = await examine(
      clockChecks(at("1970-01-01T00:01:00Z"), sources(false)),
      "clock.plausible",
      systemClock,
    );
    assert.deepEqual(verdicts(found), { "clock.plausible": "critical" });
    assert.match(found[0]?.what ?? "", /1970-01-01 00:01:00 UTC/);
  });

  it("warns of one that runs free, and cannot tell where nobody says", async () => {
    const asked = async (answer: boolean | null) =>
      verdicts(await examine(clockChecks(systemClock, sources(answer)), null, systemClock));
    assert.equal((await asked(true))["clock.synchronised"], "fine");
    assert.equal((await asked(false))["clock.synchronised"], "warning");
    assert.equal((await asked(null))["clock.synchronised"], "unknown");
  });

  it("warns of a missing battery-backed clock only where nobody else sets the time", () =>
    withPlaces(async (says, directory) => {
      const asked = async (answer: boolean | null, rtc?: string) =>
        verdicts(
          await examine(clockChecks(systemClock, sources(answer, rtc)), "clock.rtc", systemClock),
        )["clock.rtc"];
      assert.equal(await asked(true), "fine");
      assert.equal(await asked(false), "warning");
      assert.equal(await asked(null), "unknown", "a container does not tell");
      await says("rtc/rtc0", "");
      assert.equal(await asked(false, join(directory, "rtc")), "fine");
    }));
});

type Says = ((file: string, text: string) => Promise<void>) & {
  examined(): Promise<readonly Finding[]>;
};

async function withPlaces(work: (says: Says, directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-doctor-"));
  const places = {
    memory: join(directory, "meminfo"),
    thermalZones: join(directory, "thermal"),
    throttled: join(directory, "throttled"),
  };
  const says = async (file: string, text: string) => {
    await mkdir(join(directory, file, ".."), { recursive: true });
    await writeFile(join(directory, file), text);
  };
  const examined = () =>
    examine(machineChecks(places, { warmCelsius: 70, hotCelsius: 80 }), null, systemClock);
  try {
    await work(Object.assign(says, { examined }), directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
