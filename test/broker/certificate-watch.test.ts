import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Log } from "../../src/base/log.ts";
import { CertificateWatch } from "../../src/broker/certificate-watch.ts";
import type { Certificates } from "../../src/broker/file-certificates.ts";
import { SimClock } from "../support/sim-clock.ts";

const DAY_MS = 86_400_000;

describe("a certificate that is watched", () => {
  it("is warned about once a day from 30 days before its end, and called expired afterwards", async () => {
    const { clock, watch, said } = scene({ days: 31.5 });
    await watch.start(DAY_MS / 4);
    await clock.run(DAY_MS);
    assert.deepEqual(said, []);
    await clock.run(2 * DAY_MS);
    assert.deepEqual(said, ["warn certificate expires soon 29"]);
    await clock.run(32 * DAY_MS);
    assert.equal(said.length, 31);
    assert.equal(said.at(-1), "error certificate has expired -1");
    assert.equal(watch.status()?.daysLeft, -1);
    await watch.stop();
  });

  it("is warned about when it is not valid yet: then the clock may be wrong", async () => {
    const { watch, said } = scene({ days: 400, fromDays: 1 });
    await watch.start(DAY_MS);
    assert.deepEqual(said, ["warn certificate is not valid yet: is the clock right? "]);
    await watch.stop();
  });

  it("is handed on when a file has changed, and only then", async () => {
    const { watch, used, files } = scene({ days: 400 });
    await watch.start(DAY_MS);
    await watch.look();
    assert.equal(used.length, 0);
    files.cert = Buffer.from("other");
    await watch.look();
    await watch.look();
    files.clientCa = Buffer.from("ca");
    await watch.look();
    assert.equal(used.length, 2);
    assert.equal(watch.status()?.reloads, 2);
    await watch.stop();
  });

  it("stays in use when the new one cannot be used, which is said once", async () => {
    const { watch, used, said, files } = scene({ days: 400 });
    await watch.start(DAY_MS);
    files.fault = new FieldgateError("ERR_CERTIFICATE", "half written");
    await watch.look();
    await watch.look();
    assert.deepEqual(said, ["error certificate not reloaded "]);
    assert.equal(watch.status()?.error, "half written");
    files.fault = null;
    await watch.look();
    assert.equal(watch.status()?.error, null);
    assert.deepEqual(used, []);
    await watch.stop();
  });
});

function scene({ days, fromDays = -1 }: { readonly days: number; readonly fromDays?: number }) {
  const clock = new SimClock();
  const files = {
    cert: Buffer.from("cert"),
    key: Buffer.from("key"),
    clientCa: null as Buffer | null,
    fault: null as Error | null,
  };
  const used: Certificates[] = [];
  const said: string[] = [];
  const at = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (level !== "info") said.push(`${level} ${message} ${fields?.["daysLeft"] ?? ""}`);
  };
  const log: Log = {
    ...{ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    part: () => log,
  };
  const notBeforeMs = clock.wallMs() + fromDays * DAY_MS;
  const notAfterMs = clock.wallMs() + days * DAY_MS;
  const read = async () => {
    if (files.fault !== null) throw files.fault;
    const { cert, key, clientCa } = files;
    return { cert, key, clientCa, subject: "CN=gw", notBeforeMs, notAfterMs };
  };
  const watch = new CertificateWatch(read, (fresh) => used.push(fresh), { clock, log });
  return { clock, watch, used, said, files };
}
