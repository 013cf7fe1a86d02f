import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { type FigureSources, Figures, figuresOf } from "../../src/health/figures.ts";
import { HostStatistics, sampleHost } from "../../src/health/host-statistics.ts";
import { flashLife, newWear } from "../../src/health/wear.ts";
import { newCounters } from "../../src/journal/counters.ts";
import { noDamage } from "../../src/journal/store.ts";
import { withBroker } from "../support/broker.ts";
import { payloads, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("figures", () => {
  it("have mosquitto's topics where mosquitto has them, and leave out what the machine does not tell", () => {
    const figures = figuresOf(sources(3));
    assert.equal(figures.get("$SYS/broker/uptime"), "90 seconds");
    assert.equal(figures.get("$SYS/broker/clients/connected"), "3");
    assert.equal(figures.get("$SYS/broker/publish/messages/dropped"), "5");
    assert.equal(figures.get("$SYS/host/cpu-percent"), "12.3");
    assert.equal(figures.get("$SYS/journal/commits"), "4");
    assert.equal(figures.get("$SYS/journal/commit-ms-median"), "1.3");
    assert.equal(figures.get("$SYS/journal/log-bytes-dropped"), "512");
    assert.equal(figures.get("$SYS/flash/program-bytes-written"), "0");
    assert.equal(figures.has("$SYS/flash/device-bytes-written"), false);
    assert.equal(figures.has("$SYS/host/temperature-celsius"), false);
    assert.equal(figures.get("$SYS/host/network-received-bytes"), "4096");
    assert.equal(figures.has("$SYS/host/network-sent-bytes"), false);
    assert.equal(figures.has("$SYS/uplink/state"), false);
    assert.equal(figures.get("$SYS/downlink/state"), "connected");
    assert.equal(figures.get("$SYS/downlink/breaker"), "closed");
    assert.equal(figures.get("$SYS/downlink/commands/refused"), "3");
  });

  it("are announced again only when they have changed", async () => {
    const clock = new SimClock();
    const said: string[] = [];
    let connections = 1;
    const announce = (topic: string, value: string) => said.push(`${topic} ${value}`);
    const figures = new Figures(10_000, clock, () => sources(connections), announce);
    await figures.start();
    await clock.run(10_000);
    const first = said.length;
    connections = 2;
    await clock.run(30_000);
    await figures.stop();
    await clock.run(60_000);
    assert.ok(first > 10);
    assert.deepEqual(said.slice(first), ["$SYS/broker/clients/connected 2"]);
  });

  it("reach those subscribed, and a later subscriber at once, with RETAIN", () =>
    withBroker(async ({ port, broker }) => {
      const early = await RawClient.connected(port, { clientId: "early" });
      await subscribe(early, "$SYS/#", 1);
      broker.announce("$SYS/broker/uptime", "10 seconds");
      assert.equal((await early.next("publish")).retain, false);
      broker.announce("$SYS/broker/uptime", "20 seconds");
      const late = await RawClient.connected(port, { clientId: "late" });
      await subscribe(late, "$SYS/broker/+", 0);
      assert.equal((await late.next("publish")).retain, true);
      const other = await RawClient.connected(port, { clientId: "other" });
      await subscribe(other, "#", 0);
      await other.settled();
      assert.deepEqual([payloads(late), payloads(other)], [["20 seconds"], []]);
    }));
});

const NEVER = new AbortController().signal;

describe("host statistics", () => {
  it("tell this machine's memory, load and disk", async () => {
    const { sample, load } = await sampleHost(process.cwd(), systemClock, NEVER);
    const { sample: later } = await sampleHost(process.cwd(), systemClock, NEVER, load);
    assert.notEqual(later.cpuPercent, null, "since the sample before");
    assert.ok(sample.memoryTotalBytes > sample.memoryAvailableBytes);
    assert.ok(sample.memoryAvailableBytes > 0);
    assert.ok(sample.cpuPercent !== null && sample.cpuPercent >= 0 && sample.cpuPercent <= 100);
    assert.ok((sample.diskTotalBytes ?? 0) > (sample.diskAvailableBytes ?? 0));
    const { networkReceivedBytes: received, networkSentBytes: sent } = sample;
    const isDefaultRoute = /^\S+\t0{8}\t/m.test(await readFile("/proc/net/route", "utf8"));
    assert.equal(received !== null && sent !== null && sent >= 0, isDefaultRoute);
  });

  it("are waited for by nobody, however long the programs take that are asked", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-slow-"));
    const { PATH } = process.env;
    await writeFile(join(directory, "cat"), '#!/bin/sh\nsleep 0.1\nexec /bin/cat "$@"\n', {
      mode: 0o755,
    });
    process.env["PATH"] = `${directory}:${PATH}`;
    let stallMs = 0;
    let lastMs = performance.now();
    const timer = setInterval(() => {
      stallMs = Math.max(stallMs, performance.now() - lastMs);
      lastMs = performance.now();
    }, 5);
    try {
      const beganMs = performance.now();
      await sampleHost(process.cwd(), systemClock, NEVER);
      const sampleMs = performance.now() - beganMs;
      assert.ok(sampleMs > 500, `${sampleMs} ms`);
      assert.ok(stallMs < sampleMs / 2, `all waited ${stallMs} of ${sampleMs} ms`);
    } finally {
      clearInterval(timer);
      process.env["PATH"] = PATH;
      await rm(directory, { recursive: true, force: true });
    }
  });

  it("are no longer sampled once it is stopped, in the midst of a sample too", async () => {
    const clock = new SimClock();
    const host = new HostStatistics({ everyMs: 1000, path: "/" }, { clock, log: silentLog });
    await host.start();
    await clock.run(1000);
    await host.stop();
    await clock.run(5000);
    assert.equal(host.last, null);
  });
});

const COUNTS = {
  boot: "b",
  run: "r",
  deviceBytes: null,
  programBytes: 5,
  messages: 0,
  messageBytes: 0,
  runMs: 0,
};

function sources(connections: number): FigureSources {
  return {
    uptimeMs: 90_500,
    broker: {
      connections,
      sessions: 4,
      persistent: { away: 2, expired: 1 },
      retained: 2,
      accepted: 10,
      sent: 20,
      dropped: { a: 2, b: 3 },
    },
    replication: { inSync: ["gw-b"] },
    journal: {
      lastSeq: 7,
      durableSeq: 6,
      storeBytes: 1000,
      figures: {
        ...newCounters(),
        ...{ ...noDamage(), logBytesDropped: 512 },
        ...{ commits: 4, commitMsMedian: 1.26, commitMsP99: null },
      },
    },
    flash: flashLife(newWear(COUNTS, 0), null),
    uplink: null,
    downlink: {
      state: "connected",
      breaker: "closed",
      received: 9,
      accepted: 5,
      duplicates: 1,
      refused: { expired: 2, "too-large": 1 },
    },
    host: {
      cpuPercent: 12.34,
      memoryTotalBytes: 2e9,
      memoryAvailableBytes: 1e9,
      temperatureCelsius: null,
      diskTotalBytes: 3e9,
      diskAvailableBytes: 2e9,
      networkReceivedBytes: 4096,
      networkSentBytes: null,
    },
  };
}
