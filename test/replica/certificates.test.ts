import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { enrollGateway, initSite } from "../../src/replica/file-certificates.ts";

describe("the certificates of a site", () => {
  it("name site and gateway, are signed by the authority, and only their owner reads them", () =>
    withDirectory(async (directory) => {
      const authority = await initSite("plant-7", join(directory, "tls"), systemClock);
      const files = await enrollGateway("gw-a", join(directory, "tls"), systemClock);
      const ca = new X509Certificate(await readFile(authority.cert));
      const cert = new X509Certificate(await readFile(files.cert));
      assert.equal(cert.subject, "O=plant-7\nCN=gw-a");
      assert.equal(files.site, "plant-7");
      assert.ok(cert.checkIssued(ca) && cert.verify(ca.publicKey) && ca.ca && !cert.ca);
      for (const path of [authority.cert, authority.key, files.cert, files.key]) {
        assert.equal((await stat(path)).mode & 0o777, 0o600, path);
      }
    }));

  it("are never overwritten", () =>
    withDirectory(async (directory) => {
      const { cert } = await initSite("plant-7", directory, systemClock);
      const before = await readFile(cert);
      await refused(() => initSite("plant-7", directory, systemClock), /there already/);
      assert.deepEqual(await readFile(cert), before);
      await enrollGateway("gw-a", directory, systemClock);
      await refused(() => enrollGateway("gw-a", directory, systemClock), /gw-a.key is there/);
      await rm(join(directory, "gw-a.key"));
      await refused(() => enrollGateway("gw-a", directory, systemClock), /gw-a.crt is there/);
      await assert.rejects(stat(join(directory, "gw-a.key")), "half of a pair was left");
    }));

  it("are refused without an authority, with a gateway's certificate as one, and with another one's key", () =>
    withDirectory(async (directory) => {
      await refused(() => enrollGateway("gw-a", directory, systemClock), /site init/);
      const one = await initSite("plant-7", directory, systemClock);
      const other = await initSite("plant-7", join(directory, "other"), systemClock);
      const gateway = await enrollGateway("gw-a", directory, systemClock);
      await chmod(one.cert, 0o600);
      const cert = await readFile(one.cert);
      await writeFile(one.cert, await readFile(gateway.cert));
      await refused(() => enrollGateway("gw-b", directory, systemClock), /may not sign/);
      await writeFile(one.cert, "nothing");
      await refused(() => enrollGateway("gw-b", directory, systemClock), /no certificate/);
      await writeFile(one.cert, cert);
      await writeFile(one.key, await readFile(other.key));
      await refused(() => enrollGateway("gw-b", directory, systemClock), /not that of/);
      await writeFile(one.key, "nothing");
      await refused(() => enrollGateway("gw-b", directory, systemClock), /cannot be read/);
    }));

  it("want names that are names", () =>
    withDirectory(async (directory) => {
      for (const name of ["", "../gw", "a b", "-a", "x".repeat(64)]) {
        await refused(() => initSite(name, directory, systemClock), /ERR_USAGE/);
        await refused(() => enrollGateway(name, directory, systemClock), /ERR_USAGE/);
      }
      await refused(() => enrollGateway("site-ca", directory, systemClock), /ERR_USAGE/);
    }));
});

async function refused(act: () => Promise<unknown>, why: RegExp): Promise<void> {
  await assert.rejects(act, (error: Error & { code?: string }) => {
    assert.match(`${error.code} ${error.message}`, /^ERR_(CERTIFICATE|USAGE)/);
    assert.match(`${error.code} ${error.message}`, why);
    return true;
  });
}

async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-certificates-"));
  try {
    await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
