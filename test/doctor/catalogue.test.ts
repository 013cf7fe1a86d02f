import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");

/** Each id of the doctor, `*` for a name of the configuration: the test that makes the fault, by file and title. */
const FAULTS: Readonly<Record<string, readonly [file: string, title: string]>> = {
  config: ["e2e/command-line", "tells in doctor what is wrong without a gateway and with one"],
  gateway: ["doctor/doctor", "says that no gateway answers, and what a running one complains of"],
  "clock.jump": ["e2e/clock-set", "has in doctor no word for the first time"],
  sessions: ["doctor/doctor", "warns before there is no room for another session"],
  "clock.plausible": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "clock.synchronised": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "clock.rtc": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "store.path": ["doctor/store-checks", "says that a file stands where the directory should be"],
  "store.filesystem": ["doctor/store-checks", "calls a store on a read-only file system critical"],
  "store.space": [
    "doctor/store-checks",
    "calls a store in memory critical, and one on a nearly full",
  ],
  "store.latency": ["doctor/store-checks", "warns of a disk whose syncs take long"],
  "store.quarantine": ["doctor/store-checks", "names what was set aside as damaged"],
  "serial.*": ["doctor/serial-checks", "says that the user may not use the port"],
  "certificates.*": ["doctor/network-checks", "warns a month ahead, and calls one critical"],
  "uplink.srv": ["e2e/command-line", "tells in doctor which name of brokers cannot be looked up"],
  "uplink.dns": ["doctor/network-checks", "stops at a name that nobody knows"],
  "uplink.tcp": ["doctor/network-checks", "stops at a name that nobody knows"],
  "uplink.tls": ["doctor/network-checks", "says that a certificate is not trusted"],
  "uplink.clock": [
    "doctor/network-checks",
    "asks for the clock when a certificate is out of its time",
  ],
  "uplink.authentication": ["doctor/network-checks", "says that the cloud does not let us in"],
  // What breaks off after the connection was accepted is first seen as a message without acknowledgement.
  "uplink.publish": ["doctor/network-checks", "says that the cloud takes a message and does not"],
  "uplink.acknowledgement": [
    "doctor/network-checks",
    "says that the cloud takes a message and does",
  ],
  "etcd.*": ["doctor/network-checks", "tells healthy members from dead ones"],
  "etcd.quorum": ["doctor/network-checks", "tells healthy members from dead ones"],
  peers: ["doctor/doctor", "tells of each peer whether it is in sync, and why not"],
  "peers.*": ["e2e/replication", "of three gateways, the one that takes over gets from the third"],
  "machine.memory": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "machine.temperature": [
    "service/systemd",
    "starts in its sandbox, and again after it was killed",
  ],
  "machine.supply": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "machine.throttling": ["service/systemd", "starts in its sandbox, and again after it was killed"],
  "listeners.*": ["doctor/doctor", "warns of a listener beyond loopback that takes anybody"],
  "credentials.uplink": ["doctor/doctor", "warns of a password that everybody tries first"],
};

describe("each check of the doctor", () => {
  it("has a test in which its fault is made, and every test named here has a check", () => {
    assert.deepEqual(Object.keys(FAULTS).sort(), [...idsInSource()].sort());
  });

  it("is named by the test that is said to make its fault, together with a verdict that is not fine", () => {
    for (const [id, [file, title]] of Object.entries(FAULTS)) {
      const body = bodyOf(file, title);
      assert.match(
        body,
        /"(?:warning|critical)"|^!!|\^!!|code, 2/m,
        `${id}: no bad verdict in "${title}"`,
      );
      const [subject = "", ...rest] = id.split(".");
      const named = [id, rest.join("."), subject].filter((word) => word !== "" && word !== "*");
      assert.ok(
        named.some((word) => body.includes(word)),
        `${id} is not in "${title}"`,
      );
    }
  });
});

/** Ids as the checks write them; what is put in by the configuration is `*`. */
function idsInSource(): ReadonlySet<string> {
  const files = readdirSync(join(ROOT, "src/doctor")).map((name) => `src/doctor/${name}`);
  const found = new Set<string>();
  for (const file of [...files, "src/cli/doctor-checks.ts"]) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, id = ""] of text.matchAll(
      /\b(?:id|name)(?: =|:) ["`]([a-z]+(?:\.[^"`]+)?)["`]/g,
    )) {
      found.add(id.replaceAll(/\$\{[^}]*\}( \+ 1\})?/g, "*"));
    }
    // The steps of the uplink are numbered by where they go: `${id}.dns`.
    for (const [, step] of text.matchAll(/["`]\$\{id\}\.([a-z]+)["`]/g))
      found.add(`uplink.${step}`);
    for (const [, step, walked] of text.matchAll(
      /^ {2}(authentication|publish|acknowledgement): |^ {4}"([a-z]+)",$/gm,
    )) {
      found.add(`uplink.${step ?? walked}`);
    }
  }
  found.delete("etcd"); // the check; what it finds is etcd.* and etcd.quorum
  return found;
}

function bodyOf(file: string, title: string): string {
  const text = readFileSync(join(ROOT, "test", `${file}.test.ts`), "utf8");
  const [, found, ...more] = text.split(`it("${title}`);
  assert.ok(found !== undefined && more.length === 0, `test/${file}.test.ts has no "${title}"`);
  return found.split(/\n(?: {2})?it\(/)[0] ?? "";
}
