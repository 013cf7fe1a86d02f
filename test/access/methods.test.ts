import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Access, type AccessOptions } from "../../src/access/access.ts";
import { Attempts } from "../../src/access/attempts.ts";
import { certificateRoles } from "../../src/access/certificates.ts";
import type { ConnectAttempt } from "../../src/access/methods.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { ON_THE_POOL } from "../support/broker.ts";
import { login, TestUsers } from "../support/users.ts";

const CERTIFICATE = { commonName: "sensor-7", altNames: ["alt.example", "10.0.0.7"] };

describe("a client with a certificate", () => {
  it("is who the common name says, or the first alternative name, with the roles of that name", async () => {
    assert.deepEqual(await found({ certificate: CERTIFICATE }), ["sensor-7", "certificate", "s"]);
    const certificates = { userFrom: "alt-name" as const, roles: [] };
    const alt = await found({ certificate: CERTIFICATE }, { certificates });
    assert.deepEqual(alt, ["alt.example", "certificate", ""]);
  });

  it("whose certificate names nobody, or two, is refused with 5", async () => {
    const unseen = ["a\0b", "a\nb", "a\u200bb", "a\u202eb", "x".repeat(257)];
    for (const commonName of [null, "", ...unseen]) {
      const certificate = { commonName, altNames: [] };
      assert.deepEqual(await found({ certificate }), [5, "certificate names nobody"]);
    }
  });

  it("has the roles of the users file, too; no password is that user's where * stands for the hash", async () => {
    const users = new TestUsers();
    users.text = "# fieldgate users 1\nsensor-7:*:t\n# end\n";
    const both = await found({ certificate: CERTIFICATE }, {}, users);
    assert.deepEqual(both, ["sensor-7", "certificate", "s,t"]);
    const guess = { username: "sensor-7", password: Buffer.from("*") };
    assert.deepEqual(await found(guess, {}, users), [4, "wrong user or password"]);
  });

  it("gets roles from patterns in time that grows with the name, whatever the pattern", () => {
    const lines = [
      { match: "*", roles: ["all"] },
      { match: "a*", roles: ["begins"] },
      { match: "*z", roles: ["ends"] },
      { match: "a*m*z", roles: ["middle"] },
      { match: "az", roles: ["same"] },
    ];
    assert.deepEqual(certificateRoles("az", lines), ["all", "begins", "ends", "same"]);
    assert.deepEqual(certificateRoles("amz", lines), ["all", "begins", "ends", "middle"]);
    assert.deepEqual(certificateRoles("a", [{ match: "a*a", roles: ["x"] }]), []);
    const evil = [{ match: `${"a*".repeat(5000)}b`, roles: ["x"] }];
    assert.deepEqual(certificateRoles("a".repeat(60_000), evil), []);
  });
});

describe("methods", () => {
  it("are tried in the listener's order: the first that the client offers anything for decides", async () => {
    const users = await TestUsers.of({ ann: ["t"] });
    const offered = { certificate: CERTIFICATE, ...login("ann") };
    const as = (...methods: ("certificate" | "password")[]) =>
      found(offered, { listeners: [{ name: "l", anonymous: false, methods }] }, users);
    assert.deepEqual(await as("certificate", "password"), ["sensor-7", "certificate", "s"]);
    assert.deepEqual(await as("password", "certificate"), ["ann", "password", "t"]);
    const wrong = { ...offered, password: Buffer.from("wrong") };
    const first = { listeners: [{ name: "l", anonymous: true, methods: ["password"] as const }] };
    assert.deepEqual(await found(wrong, first, users), [4, "wrong user or password"]);
  });

  it("that a client offers nothing for leave loopback, anonymous where that is said, and 5", async () => {
    const listeners = [{ name: "l", anonymous: true }];
    assert.deepEqual(await found({ loopback: true }), [null, "local", "everything"]);
    assert.deepEqual(await found({}, { listeners }), [null, "anonymous", ""]);
    assert.deepEqual(await found({}), [5, "no credentials"]);
    assert.deepEqual(await found({ listener: "other" }, { listeners }), [5, "no credentials"]);
  });
});

describe("failed attempts", () => {
  const limits = { failuresFree: 2, pauseFirstMs: 100, pauseMaxMs: 1000, addressesMax: 3 };

  it("cost nothing at first, then twice as long each time up to a bound, and are forgiven in time", () => {
    const attempts = new Attempts(limits);
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      attempts.failed("a", 0);
      waits.push(attempts.waitMs("a", 0));
    }
    assert.deepEqual(waits, [0, 0, 100, 200, 400, 800, 1000, 1000]);
    assert.equal(attempts.waitMs("b", 0), 0);
    assert.equal(attempts.waitMs("a", 20_000), 0);
    attempts.failed("a", 20_000);
    assert.equal(attempts.waitMs("a", 20_000), 0, "as if it were the first");
  });

  it("make those of one address wait one behind the other", () => {
    const attempts = new Attempts(limits);
    for (let i = 0; i < 3; i++) attempts.failed("a", 0);
    assert.equal(attempts.waitMs("a", 0), 100);
    attempts.reserve("a", 0);
    assert.equal(attempts.waitMs("a", 0), 200);
  });

  it("are remembered of so many addresses, one network of IPv6 counting as one", () => {
    const attempts = new Attempts(limits);
    for (let host = 0; host < 100; host++) attempts.failed(`2001:db8::${host.toString(16)}`, 0);
    assert.equal(attempts.size, 1);
    assert.equal(attempts.waitMs("2001:db8:0:0:ffff::1", 0), 1000);
    assert.equal(attempts.waitMs("2001:db8:0:1::1", 0), 0);
    for (let host = 0; host < 100; host++) attempts.failed(`10.0.0.${host}`, 0);
    assert.equal(attempts.size, 3);
  });
});

/** User, method and roles; or code and reason. */
async function found(
  attempt: Partial<ConnectAttempt>,
  options: Partial<AccessOptions> = {},
  users: TestUsers | null = null,
): Promise<readonly unknown[]> {
  const none = { allow: [], deny: [] };
  const role = (name: string) => ({ name, publish: none, subscribe: none });
  const access = new Access(
    {
      listeners: [{ name: "l", anonymous: false }],
      roles: [role("s"), role("t")],
      loopbackRoles: ["everything"],
      ...{ anonymousRoles: [], downlinkRoles: [], whenDenied: "drop", clientIds: "any" },
      certificates: { userFrom: "common-name", roles: [{ match: "sensor-*", roles: ["s"] }] },
      ...{ usersCheckSeconds: 60, tokenBytesMax: 8192 },
      attempts: {
        ...{ failuresFree: 5, pauseFirstMs: 1, pauseMaxMs: 1, addressesMax: 10 },
        ...{ waitMsMax: 10, checksMax: 10, knownMax: 100 },
      },
      ...options,
    },
    {
      ...{ clock: systemClock, log: silentLog, wallIsSure: () => true, keys: null },
      passwords: ON_THE_POOL,
      users: users?.tools.users ?? null,
    },
  );
  await access.start();
  try {
    const verdict = await access.authenticate({
      ...{ listener: "l", address: "10.0.0.1", loopback: false, certificate: null },
      ...{ clientId: "c", username: undefined, password: undefined, willTopic: null },
      ...attempt,
    });
    if (verdict.rights === null) return [verdict.code, verdict.reason];
    const { user, method, roles } = verdict.rights.principal;
    return [user, method, roles.join()];
  } finally {
    await access.stop();
  }
}
