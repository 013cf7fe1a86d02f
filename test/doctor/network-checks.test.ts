import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { examine } from "../../src/doctor/doctor.ts";
import { certificateChecks } from "../../src/doctor/file-certificate-checks.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { etcdChecks } from "../../src/doctor/net-etcd-checks.ts";
import { uplinkChecks } from "../../src/doctor/net-uplink-checks.ts";
import { parseEndpoint } from "../../src/uplink/endpoints.ts";
import { probeEndpoint } from "../../src/uplink/mqtt-probe.ts";
import { authority, certificate, expiredCertificate } from "../support/certificates.ts";
import { configOf } from "../support/config.ts";
import { startEtcd } from "../support/etcd.ts";
import { freePort } from "../support/free-port.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { verdicts } from "../support/verdicts.ts";

const DAY_MS = 86_400_000;
/** A machine that is busy with tests is no reason to call etcd slow. */
const SLOW_MS = 60_000;

describe("the doctor, asked about the way to the cloud", () => {
  it("walks it step by step to the acknowledgement", () =>
    withCloud([], async (port) => {
      const found = await walked(`mqtt://127.0.0.1:${port}`);
      assert.deepEqual(verdicts(found), {
        "uplink.dns": "fine",
        "uplink.tcp": "fine",
        "uplink.authentication": "fine",
        "uplink.publish": "fine",
        "uplink.acknowledgement": "fine",
      });
      assert.ok(
        found.every(({ ms }) => ms !== undefined),
        "each step timed",
      );
    }));

  it("stops at a name that nobody knows, and at a port where nobody listens", async () => {
    const nameless = await walked("mqtt://no-such-host.invalid:1883");
    assert.deepEqual(verdicts(nameless), { "uplink.dns": "critical" });
    const deaf = await walked(`mqtt://127.0.0.1:${await freePort()}`);
    assert.deepEqual(verdicts(deaf), { "uplink.dns": "fine", "uplink.tcp": "critical" });
  });

  it("says that the cloud does not let us in, and shows no password", () =>
    withDirectory(async (directory) => {
      const passwords = join(directory, "passwords");
      await writeFile(passwords, "gw:secret\n", { mode: 0o600 });
      execFileSync("mosquitto_passwd", ["-U", passwords], { stdio: "pipe" });
      const config = ["allow_anonymous false", `password_file ${passwords}`];
      await withCloud(config, async (port) => {
        const found = await walked(`mqtt://gw:hunter2@127.0.0.1:${port}`);
        assert.equal(verdicts(found)["uplink.authentication"], "critical");
        assert.doesNotMatch(JSON.stringify(found), /hunter2/);
        const right = await walked(`mqtt://gw:secret@127.0.0.1:${port}`);
        assert.equal(verdicts(right)["uplink.acknowledgement"], "fine");
      });
    }));

  it("says that the cloud takes a message and does not acknowledge it", async () => {
    const cloud = await ScriptedBroker.start({ published: ({ hangUp }) => hangUp() });
    try {
      const found = await walked(cloud.endpoint);
      const { "uplink.publish": publish, "uplink.acknowledgement": last } = verdicts(found);
      assert.deepEqual([publish, last], ["fine", "critical"]);
      assert.match(found.at(-1)?.why ?? "", /closes the connection/);
    } finally {
      await cloud.stop();
    }
  });

  it("asks for the clock when a certificate is out of its time, and not for another certificate", () =>
    withDirectory(async (directory) => {
      const ca = authority(directory, "ca");
      const server = expiredCertificate(directory, ca, "cloud", "subjectAltName=DNS:localhost");
      const config = [`cafile ${ca.cert}`, `certfile ${server.cert}`, `keyfile ${server.key}`];
      await withCloud(config, async (port) => {
        const found = await walked(`mqtts://localhost:${port}`, { caFile: ca.cert });
        assert.deepEqual(verdicts(found), {
          "uplink.dns": "fine",
          "uplink.tcp": "fine",
          "uplink.clock": "critical",
        });
      });
    }));

  it("says that a certificate is not trusted, and that it is another host's", () =>
    withDirectory(async (directory) => {
      const ca = authority(directory, "ca");
      const other = authority(directory, "other-ca");
      const server = certificate(directory, ca, "cloud", "subjectAltName=DNS:localhost");
      const config = [`cafile ${ca.cert}`, `certfile ${server.cert}`, `keyfile ${server.key}`];
      await withCloud(config, async (port) => {
        const tls = async (host: string, caFile: string) =>
          verdicts(await walked(`mqtts://${host}:${port}`, { caFile }))["uplink.tls"];
        assert.equal(await tls("localhost", ca.cert), "fine");
        assert.equal(await tls("localhost", other.cert), "critical");
        assert.equal(await tls("127.0.0.1", ca.cert), "critical");
      });
    }));

  it("does not connect as a second client while the gateway is connected", () =>
    withCloud([], async (port) => {
      const found = await walked(`mqtt://127.0.0.1:${port}`, {}, true);
      assert.deepEqual(verdicts(found), { "uplink.dns": "fine", "uplink.tcp": "fine" });
    }));
});

describe("the doctor, asked about certificates", () => {
  it("warns a month ahead, and calls one critical that has expired, is not valid yet or is none", () =>
    withDirectory(async (directory) => {
      const { cert } = authority(directory, "ca");
      const none = join(directory, "none.pem");
      await writeFile(none, "nothing\n");
      const now = Date.now();
      const judged = async (caFile: string, wallMs: number) => {
        const config = configOf({ uplink: { endpoints: ["mqtts://cloud"], caFile } });
        return verdicts(await examine(certificateChecks(config, wallMs), null, systemClock));
      };
      assert.deepEqual(await judged(cert, now), { "certificates.uplink.caFile": "warning" });
      assert.deepEqual(await judged(cert, now - 40 * DAY_MS), {
        "certificates.uplink.caFile": "critical",
      });
      assert.deepEqual(await judged(cert, now + 3 * DAY_MS), {
        "certificates.uplink.caFile": "critical",
      });
      assert.deepEqual(await judged(none, now), { "certificates.uplink.caFile": "critical" });
    }));
});

describe("the doctor, asked about etcd", () => {
  it("tells healthy members from dead ones, and whether they are a quorum", async () => {
    const etcd = await startEtcd();
    try {
      const [alive = ""] = etcd.endpoints;
      const dead = [1, 2].map((port) => `http://127.0.0.1:${port}`);
      const judged = async (...endpoints: string[]) =>
        verdicts(
          await examine(etcdChecks(clusterOf(endpoints), systemClock, SLOW_MS), null, systemClock),
        );
      assert.equal((await judged(alive))["etcd.quorum"], "fine");
      assert.deepEqual(await judged(alive, ...dead), {
        "etcd.1": "fine",
        "etcd.2": "warning",
        "etcd.3": "warning",
        "etcd.quorum": "warning",
      });
    } finally {
      await etcd.end();
    }
  });
});

it("the doctor tells members of etcd that have no leader, or are slow, from healthy ones", async () => {
  const member = (body: object) =>
    createServer((_, response) => response.end(JSON.stringify(body)));
  const members = [
    member({ health: "false", reason: "RAFT NO LEADER" }),
    member({ health: "true" }),
  ];
  const endpoints: string[] = [];
  for (const server of members) {
    await once(server.listen(0, "127.0.0.1"), "listening");
    endpoints.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  // Whoever answers at all takes longer than no time.
  const found = await examine(etcdChecks(clusterOf(endpoints), systemClock, 0), null, systemClock);
  for (const server of members) server.close();
  assert.deepEqual(
    found.map(({ id, verdict, why = "" }) => [id, verdict, why.slice(0, 14)]),
    [
      ["etcd.1", "warning", "RAFT NO LEADER"],
      ["etcd.2", "warning", "a slow etcd ma"],
      ["etcd.quorum", "warning", "without a quor"],
    ],
  );
});

function clusterOf(endpoints: readonly string[]) {
  const { cluster } = configOf({ cluster: { endpoints } });
  assert.ok(cluster);
  return cluster;
}

function walked(
  endpoint: string,
  changes: { caFile?: string } = {},
  isConnected = false,
): Promise<readonly Finding[]> {
  const options = uplinkOptions({ endpoints: [endpoint], ...changes });
  const parsed = parseEndpoint(endpoint);
  assert.ok(parsed);
  const address = { ...parsed, endpoint, shown: endpoint.replace(/\/\/.*@/, "//") };
  const tools = { clock: systemClock, clientId: "gw-doctor", topic: "fieldgate/doctor" };
  const mqtt = isConnected ? null : () => probeEndpoint(endpoint, options, tools);
  const checks = uplinkChecks(options, [address], { clock: systemClock, mqtt });
  return examine(checks, null, systemClock);
}

async function withCloud(
  config: readonly string[],
  work: (port: number) => Promise<void>,
): Promise<void> {
  const mosquitto = await startMosquitto({ config });
  try {
    await work(mosquitto.port);
  } finally {
    await mosquitto.end();
  }
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-doctor-"));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
