import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { type TestSite, testListener, withBroker } from "../support/broker.ts";
import { certificate, expiredCertificate, type KeyPair } from "../support/certificates.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import {
  clientHello,
  dial,
  dialTcp,
  dialTls,
  type TestCertificates,
  withCertificates,
} from "../support/wires.ts";

/** Kinds of TLS records. */
const [ALERT, HANDSHAKE] = [21, 22];

describe("TLS", () => {
  it("is of version 1.2 or 1.3 with ephemeral keys and authenticated ciphers", () =>
    withTls({}, async ({ port }, { ca }) => {
      for (const [version, cipher] of [
        ["TLSv1.3", /^TLS_/],
        ["TLSv1.2", /^ECDHE-ECDSA-.*(GCM|CHACHA20)/],
      ] as const) {
        const socket = await dialTls(port, {
          ...{ minVersion: version, maxVersion: version, servername: "localhost" },
          ...{ ca: await readFile(ca.cert), rejectUnauthorized: true },
        });
        assert.equal(socket.getProtocol(), version);
        assert.match(socket.getCipher().name, cipher);
        socket.destroy();
      }
    }));

  it("refuses older versions and weaker ciphers, and counts them", () =>
    withTls({}, async ({ port, broker }) => {
      const old = {
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "ALL:@SECLEVEL=0",
      } as const;
      await assert.rejects(dialTls(port, old));
      const weak = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA:AES128-SHA" } as const;
      await assert.rejects(dialTls(port, weak));
      await until("both are counted", () => {
        return broker.status().closed["TLS version or cipher not offered"] === 2;
      });
    }));

  const SNI = "localhost";
  for (const [what, name, answer] of [
    ["that is an address", "127.0.0.1", HANDSHAKE],
    ["of another host", "evil.host", HANDSHAKE],
    ["that is not UTF-8", "\xff\xfe\xc0\x80\xed\xa0\x80\xf0\x80", HANDSHAKE],
    ["with line ends and escapes", "a\r\n\x1b[2J\t\t", HANDSHAKE],
    ["with a null character", "local\0ost", ALERT],
  ] as const) {
    it(`asked by a name ${what} is ${answer === ALERT ? "refused and counted" : "the same"}, and others are served on`, () =>
      withTls({}, async ({ port, broker }) => {
        assert.equal(name.length, SNI.length);
        const other = await RawClient.connected(await dial("tls", port), { clientId: "other" });
        const hello = await clientHello();
        const at = hello.indexOf(SNI);
        assert.notEqual(at, -1);
        hello.write(name, at, "latin1");
        const socket = await dialTcp(port);
        socket.write(hello);
        const [said] = (await once(socket, "data")) as [Buffer];
        assert.equal(said[0], answer);
        socket.destroy();
        await until("it is gone", () => broker.status().listeners[0]?.sockets === 1);
        if (answer === ALERT) assert.equal(broker.status().closed["TLS handshake failed"], 1);
        await other.settled();
        other.drop();
      }));
  }

  it("does not renegotiate: the connection stays as it is, or ends", () =>
    withTls({}, async ({ port, broker }) => {
      const client = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-tls1_2"]);
      try {
        let said = "";
        for (const stream of [client.stdout, client.stderr]) {
          stream.on("data", (chunk) => {
            said += chunk;
          });
        }
        await until("it is connected", () => said.includes("Verify return code"));
        client.stdin.write("R\n");
        await until("it is refused", () => /no renegotiation|handshake failure/.test(said));
        assert.match(said, /RENEGOTIATING/);
      } finally {
        client.kill("SIGKILL");
      }
      const other = await RawClient.connected(await dial("tls", port), { clientId: "other" });
      await other.settled();
      other.drop();
      await until("all are gone", () => broker.status().connections === 0);
    }));
});

describe("mutual TLS", () => {
  for (const wire of ["tls", "wss"] as const) {
    it(`over ${wire} knows a client by its certificate`, () =>
      withTls({ type: wire, mutual: true }, async ({ port, broker }, { client }) => {
        const shown = await shownBy(client);
        const known = await RawClient.connected(await dial(wire, port, shown), { clientId: "7" });
        const [certified] = broker.status().certified;
        assert.equal(certified?.clientId, "7");
        assert.equal(certified?.identity.commonName, "sensor-7");
        assert.deepEqual(certified?.identity.altNames, ["sensor-7.plant", "urn:7"]);
        assert.match(certified?.identity.fingerprint ?? "", /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
        known.drop();
      }));

    it(`over ${wire} refuses and counts who shows none, or a stranger's`, () =>
      withTls({ type: wire, mutual: true }, async ({ port, broker }, { stranger }) => {
        for (const shown of [{}, await shownBy(stranger)]) {
          // With TLS 1.3 the client is done before the server has seen its certificate.
          await assert.rejects(async () => RawClient.connected(await dial(wire, port, shown)));
        }
        await until("both are gone", () => broker.status().listeners[0]?.sockets === 0);
        assert.deepEqual(broker.status().closed, {
          "no client certificate": 1,
          "client certificate not trusted": 1,
        });
      }));
  }

  it("takes nobody's name for another's, however odd the names of a certificate are", () =>
    withTls({ mutual: true }, async ({ port, broker }, { ca, directory }) => {
      for (const [index, [subject, altName, ...names]] of ODD.entries()) {
        const files = certificate(
          directory,
          ca,
          `odd${index}`,
          `subjectAltName=${altName}`,
          2,
          subject,
        );
        const stream = await dialTls(port, await shownBy(files));
        const client = new RawClient(stream);
        client.send({ cmd: "connect", clientId: "odd", clean: true, keepalive: 0 });
        const { returnCode } = await client.next("connack");
        const identity = broker.status().certified[0]?.identity;
        const who = returnCode === 0 ? [identity?.commonName, ...(identity?.altNames ?? [])] : [];
        assert.deepEqual([returnCode, who], [names.length === 0 ? 5 : 0, names], subject);
        client.drop();
        await until("it is gone", () => broker.status().certified.length === 0);
      }
    }));

  it("may be optional: who shows none is let in without a name, a stranger is not", () =>
    withTls({ mutual: true, clientCertificate: "optional" }, async ({ port, broker }, certs) => {
      const plain = await RawClient.connected(await dial("tls", port), { clientId: "plain" });
      assert.deepEqual(broker.status().certified, []);
      const shown = await shownBy(certs.stranger);
      await assert.rejects(async () => RawClient.connected(await dial("tls", port, shown)));
      await until("it is counted", () => {
        return broker.status().closed["client certificate not trusted"] === 1;
      });
      await plain.settled();
      plain.drop();
    }));

  it("says of a certificate whose time is not now that it is that: the clock may be wrong", () =>
    withTls({ mutual: true }, async ({ port, broker }, { ca, directory }) => {
      const ended = expiredCertificate(directory, ca, "ended", "subjectAltName=DNS:ended");
      const shown = await shownBy(ended);
      await assert.rejects(async () => RawClient.connected(await dialTls(port, shown)));
      await until("it is counted", () => {
        return broker.status().closed["client certificate has ended"] === 1;
      });
    }));

  it("is not judged by its time while the clock was never set, but by who has signed it, and later by its time", () =>
    withTls({ mutual: true }, async (site, { ca, directory }) => {
      const { port, broker } = site;
      const others = { cert: join(directory, "others.pem"), key: join(directory, "others.key") };
      const [ours, ...theirs] = [
        expiredCertificate(directory, ca, "ours", "subjectAltName=DNS:ours"),
        expiredCertificate(directory, others, "theirs", "subjectAltName=DNS:theirs"),
        expiredCertificate(directory, ca, "server-only", "extendedKeyUsage=serverAuth"),
      ];
      site.wallIsSure = false;
      const client = await RawClient.connected(await dialTls(port, await shownBy(ours)));
      for (const files of theirs) {
        const shown = await shownBy(files);
        await assert.rejects(async () => RawClient.connected(await dialTls(port, shown)));
      }
      await client.settled();
      site.wallIsSure = true;
      await client.ended();
      await until("it is gone", () => broker.status().certified.length === 0);
      // OpenSSL says of those, too, only that their time has ended.
      assert.deepEqual(broker.status().closed, { "client certificate has ended": 3 });
    }));

  it("is refused by its time while the clock was never set, where the listener says so", () =>
    withTls({ mutual: true, whenClockIsUnsure: "refuse" }, async (site, { ca, directory }) => {
      site.wallIsSure = false;
      const ended = expiredCertificate(directory, ca, "ended", "subjectAltName=DNS:ended");
      const shown = await shownBy(ended);
      await assert.rejects(async () => RawClient.connected(await dialTls(site.port, shown)));
    }));

  it("is asked for again when the client CA has changed, and resumed sessions are not trusted", () =>
    withTls({ mutual: true }, async ({ port, broker }, { ca, client, stranger, directory }) => {
      const shown = await shownBy(client);
      const socket = await dialTls(port, shown);
      const ticket = once(socket, "session");
      const before = await RawClient.connected(socket, { clientId: "before" });
      const [session] = await ticket;
      const reloads = () => broker.status().listeners[0]?.certificate?.reloads;
      const replaceCa = async (text: string) => {
        await writeFile(`${ca.cert}.new`, text);
        await rename(`${ca.cert}.new`, ca.cert);
      };
      const others = await readFile(join(directory, "others.pem"), "utf8");
      await replaceCa(others + (await readFile(ca.cert, "utf8")));
      await until("one more is trusted", () => reloads() === 1);
      await before.settled();
      await replaceCa(others);
      await until("it is reloaded", () => reloads() === 2);
      await before.ended();
      assert.equal(broker.status().closed["client certificate not trusted any more"], 1);
      for (const again of [shown, { ...shown, session }]) {
        await assert.rejects(async () => RawClient.connected(await dialTls(port, again)));
      }
      const other = await dialTls(port, await shownBy(stranger));
      const now = await RawClient.connected(other, { clientId: "now" });
      now.drop();
    }));
});

describe("the files of a TLS listener", () => {
  it("are reloaded when they change, and nobody is dropped", () =>
    withTls({}, async ({ port, broker }, { ca, server, directory }) => {
      const before = await dialTls(port);
      const stays = await RawClient.connected(before, { clientId: "stays" });
      const renewed = certificate(directory, ca, "renewed", "subjectAltName=DNS:localhost", 400);
      await copyFile(renewed.key, server.key);
      await until("the half of it is seen", () => certificateOf(broker)?.error !== null);
      assert.match(certificateOf(broker)?.error ?? "", /not the key of the certificate/);
      const meanwhile = await dialTls(port);
      assert.equal(meanwhile.getPeerCertificate().subject.CN, "server");
      await copyFile(renewed.cert, server.cert);
      await until("it is reloaded", () => certificateOf(broker)?.reloads === 1);
      const after = await dialTls(port);
      assert.equal(after.getPeerCertificate().subject.CN, "renewed");
      assert.deepEqual(
        [certificateOf(broker)?.error, certificateOf(broker)?.subject],
        [null, "CN=renewed"],
      );
      assert.equal(certificateOf(broker)?.daysLeft, 399);
      await stays.settled();
      stays.drop();
      for (const socket of [meanwhile, after]) socket.destroy();
    }));

  it("may become pipes, which nobody waits for, and files again", () =>
    withTls({}, async ({ broker }, { ca, server, directory }) => {
      await rm(server.key);
      execFileSync("mkfifo", [server.key]);
      await until("it is said", () => /it is no file/.test(certificateOf(broker)?.error ?? ""));
      const renewed = certificate(directory, ca, "renewed", "subjectAltName=DNS:localhost", 400);
      await copyFile(renewed.cert, server.cert);
      await rename(renewed.key, server.key);
      await until("it is reloaded", () => certificateOf(broker)?.reloads === 1);
    }));

  const UNUSABLE: readonly (readonly [
    name: string,
    spoil: (files: TestCertificates) => Promise<Partial<TestSiteFiles>>,
    code: string,
    message: RegExp,
  ])[] = [
    [
      "a missing certificate",
      async () => ({ certFile: "/nonexistent/server.pem" }),
      "ERR_CONFIG_UNREADABLE",
      /certFile of listener test cannot be read: ENOENT/,
    ],
    [
      "a directory for a key",
      async ({ directory }) => ({ keyFile: directory }),
      "ERR_CONFIG_UNREADABLE",
      /keyFile of listener test cannot be read: it is no file/,
    ],
    [
      "a key of another certificate",
      async ({ client }) => ({ keyFile: client.key }),
      "ERR_CERTIFICATE",
      /keyFile of listener test is not the key of the certificate/,
    ],
    [
      "a key where the certificate should be",
      async ({ server }) => ({ certFile: server.key }),
      "ERR_CERTIFICATE",
      /certFile of listener test holds no certificate in PEM/,
    ],
    [
      "a certificate where the key should be",
      async ({ server }) => ({ keyFile: server.cert }),
      "ERR_CERTIFICATE",
      /keyFile of listener test holds no private key in PEM/,
    ],
    [
      "a damaged certificate",
      async ({ directory, server }) => {
        const certFile = join(directory, "damaged.pem");
        await writeFile(certFile, (await readFile(server.cert, "utf8")).replace(/^MII/m, "AAA"));
        return { certFile };
      },
      "ERR_CERTIFICATE",
      /certFile of listener test holds a damaged certificate/,
    ],
    [
      "half a key",
      async ({ directory, server }) => {
        const keyFile = join(directory, "half.key");
        await writeFile(keyFile, (await readFile(server.key, "utf8")).slice(0, 90));
        return { keyFile };
      },
      "ERR_CERTIFICATE",
      /keyFile of listener test holds a damaged key/,
    ],
    [
      "an empty client CA",
      async ({ directory }) => {
        const clientCaFile = join(directory, "empty.pem");
        await writeFile(clientCaFile, "");
        return { clientCaFile };
      },
      "ERR_CERTIFICATE",
      /clientCaFile of listener test holds no certificate in PEM/,
    ],
  ];
  for (const [name, spoil, code, message] of UNUSABLE) {
    it(`keep the broker from starting, with ${code}: ${name}`, () =>
      withCertificates(async (certificates) => {
        const { server } = certificates;
        const good = { certFile: server.cert, keyFile: server.key };
        const listener = testListener({ type: "tls", ...good, ...(await spoil(certificates)) });
        await assert.rejects(
          withBroker(async () => {}, { listeners: [listener] }),
          (error) => {
            assert.ok(error instanceof FieldgateError);
            assert.equal(error.code, code);
            assert.match(error.message, message);
            assert.doesNotMatch(JSON.stringify(error.details), /BEGIN/);
            return true;
          },
        );
      }));
  }
});

/** Subject and alternative names as openssl writes them, and the names that are made of them; without any the client is refused. */
const ODD: readonly (readonly [string, string, ...string[]])[] = [
  ["/CN=ann/CN=admin", "DNS:x"],
  ["/CN=ann+CN=admin", "DNS:x"],
  ["/O=admin", "DNS:x"],
  ["/CN=\u0430dmin", "DNS:x", "\u0430dmin", "x"],
  ["/CN=a\\/CN=admin", "email:a@x", "a/CN=admin", "a@x"],
  ["/CN=x", "otherName:1.2.3.4;UTF8:admin,DNS:y", "x", "", "y"],
];

type TestSiteFiles = Pick<
  BrokerOptions["listeners"][number],
  "certFile" | "keyFile" | "clientCaFile"
>;

function withTls(
  options: Partial<BrokerOptions["listeners"][number]> & { readonly mutual?: boolean },
  test: (site: TestSite, certificates: TestCertificates) => Promise<void>,
): Promise<void> {
  const { mutual = false, ...more } = options;
  return withCertificates((certificates) => {
    const { server, ca } = certificates;
    const listener = testListener({
      ...{ type: "tls", certFile: server.cert, keyFile: server.key, certificateCheckSeconds: 1 },
      ...(mutual && { clientCaFile: ca.cert }),
      ...more,
    });
    return withBroker((site) => test(site, certificates), { listeners: [listener] });
  });
}

async function shownBy({ cert, key }: KeyPair): Promise<{ cert: Buffer; key: Buffer }> {
  return { cert: await readFile(cert), key: await readFile(key) };
}

function certificateOf(broker: TestSite["broker"]) {
  return broker.status().listeners[0]?.certificate;
}
