import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { defaultConfig } from "../../src/config/defaults.ts";
import { formatMistakes } from "../../src/config/format-mistakes.ts";
import { loadConfig, parseConfig } from "../../src/config/yaml-load.ts";

describe("a configuration that is right", () => {
  it("has the schema's defaults when the file is empty", () => {
    const config = parseConfig("", "f.yaml");
    assert.deepEqual(config, defaultConfig());
    assert.deepEqual(config.listeners, [
      {
        ...{
          name: "local",
          type: "tcp",
          host: "127.0.0.1",
          port: 1883,
          path: "/mqtt",
          origins: [],
        },
        ...{
          insecure: false,
          anonymous: false,
          clientCertificate: "required",
          whenClockIsUnsure: "accept",
        },
        ...{ certificateCheckSeconds: 60, handshakeTimeoutMs: 10_000 },
      },
    ]);
    assert.deepEqual([config.uplink, config.cluster, config.devices], [undefined, undefined, []]);
  });

  it("takes a section, list or map that is written without anything in it for left out", () => {
    const empty = "gateway:\nstore:\n  # path: /x\nlisteners:\ndevices:\nmqtt:\nlog:\ncontrol:\n";
    assert.deepEqual(parseConfig(empty, "f.yaml"), defaultConfig());
  });

  it("keeps an empty list of listeners apart from none written", () => {
    assert.deepEqual(parseConfig("listeners: []", "f.yaml").listeners, []);
  });

  it("fills in the defaults of each item of a list", () => {
    const [device] = parseConfig("devices: [{ name: boiler, port: /dev/ttyS0 }]", "f.yaml").devices;
    assert.deepEqual(device, {
      name: "boiler",
      port: "/dev/ttyS0",
      baudRate: 9600,
      dataBits: 8,
      parity: "none",
      stopBits: 1,
      framing: { type: "lines", bytesMax: 1024, timeoutMs: 1000, check: "none" },
      decode: { type: "raw" },
      topic: "devices/{gateway}/{device}",
      qos: 1,
      retain: false,
      inflightMax: 64,
      readingsMax: 256,
      openTimeoutMs: 10_000,
      backoffFirstMs: 500,
      backoffMaxMs: 10_000,
      stableMs: 10_000,
      statusTopic: "devices/{gateway}/{device}/status",
      statusSeconds: 60,
      silenceSeconds: 0,
      commandDeadlineMs: 10_000,
      commandsMax: 32,
      commandIdsMax: 256,
      writeTimeoutMs: 5000,
      shared: false,
    });
  });

  it("is frozen, all the way down", () => {
    const config = parseConfig("devices: [{ name: boiler, port: /dev/ttyS0 }]", "f.yaml");
    assert.throws(() => {
      config.gateway.id = "other";
    }, TypeError);
    assert.throws(() => config.devices.push(...config.devices), TypeError);
    assert.ok(Object.isFrozen(config.devices[0]?.framing));
    assert.ok(Object.isFrozen(defaultConfig().mqtt));
  });

  it("reads sizes as numbers and as text with a unit", () => {
    const sizes = { "1048576": 2 ** 20, "2MiB": 2 ** 21, "1.5 GiB": 1.5 * 2 ** 30, "4MB": 4e6 };
    for (const [written, bytes] of Object.entries(sizes)) {
      assert.equal(parseConfig(`store: { bytesMax: ${written} }`, "f").store.bytesMax, bytes);
    }
  });

  it("follows an alias to the nearest anchor before it", () => {
    const [a, b] = parseConfig(
      `devices:
  - { name: a, port: /dev/a, framing: &f { type: slip } }
  - { name: b, port: /dev/b, framing: *f }
`,
      "f.yaml",
    ).devices;
    assert.deepEqual(a?.framing, b?.framing);
    assert.equal(b?.framing.type, "slip");
  });

  it("keeps units of fields whose names every object has", () => {
    const text =
      "devices: [{ name: a, port: /dev/a, decode: { type: json, units: { toString: V } } }]";
    const units = parseConfig(text, "f.yaml").devices[0]?.decode.units;
    assert.equal(units?.["toString"], "V");
    assert.equal(units?.["constructor"], undefined);
  });

  it("reads a file with a byte order mark and Windows line ends", async () => {
    await withFile("\uFEFFgateway:\r\n  id: gw-a\r\n", async (path) => {
      assert.equal((await loadConfig(path)).gateway.id, "gw-a");
    });
  });
});

describe("mistakes of values", () => {
  it("names an unknown key and the nearest known one", () => {
    check("listeners:\n  - name: lan\n    prot: 1883\n", [
      '3:5 listeners[0].prot: unknown key, did you mean "port"?',
    ]);
    check("device: []\n", ['1:1 device: unknown key, did you mean "devices"?']);
    check("gateway: { ID: a }\n", ['1:12 gateway.ID: unknown key, did you mean "id"?']);
  });

  it("lists the known keys where none is near", () => {
    check("log: { colour: red }\n", [
      "1:8 log.colour: unknown key, known here: level, pendingBytesMax, repeatsMax, repeatMinutes, repeatKindsMax",
    ]);
    check("<<: { log: {} }\n", [
      '1:1 ["<<"]: unknown key, known here: gateway, store, listeners, access, mqtt, devices, uplink, cluster, health, control, log',
    ]);
  });

  it("refuses keys that every object has", () => {
    for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      check(`gateway: { ${key}: { id: b } }\n`, [
        `1:12 gateway.${key}: unknown key, known here: id, site`,
      ]);
    }
    check("devices: [{ name: a, port: /p, decode: { type: json, units: { __proto__: V } } }]\n", [
      '1:63 devices[0].decode.units.__proto__: "__proto__" cannot be a name here',
    ]);
    assert.equal(Object.hasOwn(Object.prototype, "id"), false);
  });

  it("says the first line of a key that is there twice, and still reads the second", () => {
    check("gateway:\n  id: a\n  id: 7\ngateway: { sit: b }\n", [
      "3:3 gateway.id: is here twice, first on line 2",
      "3:7 gateway.id: must be text: put it in quotes",
      "4:1 gateway: is here twice, first on line 1",
      '4:12 gateway.sit: unknown key, did you mean "site"?',
    ]);
  });

  it("says which type belongs there", () => {
    check("store: 5\nlisteners: { name: a }\nmqtt: []\nuplink:\n  endpoints: mqtt://a\n", [
      "1:8 store: must be a section of keys and values, not 5",
      "2:12 listeners: must be a list, not a section",
      "3:7 mqtt: must be a section of keys and values, not a list",
      "5:14 uplink.endpoints: must be a list, not text",
    ]);
    check("mqtt: { inflightMax: '8', sessionsMax: [1], retainedMax: , connectionsMax: 1.5 }\n", [
      "1:22 mqtt.inflightMax: must be a whole number from 1 to 32767 without quotes",
      "1:40 mqtt.sessionsMax: must be a whole number of at least 1, not a list",
      "1:45 mqtt.retainedMax: has no value, must be a whole number of at least 0",
      "1:76 mqtt.connectionsMax: must be a whole number of at least 1, not 1.5",
    ]);
    check("listeners: [{ name: lan, anonymous: yes }]\n", [
      "1:37 listeners[0].anonymous: must be true or false, did you mean true?",
    ]);
    check("- 1\n", ["1:1 must be a section of keys and values, not a list"]);
  });

  it("says range and unit of a number", () => {
    check("listeners: [{ name: lan, port: 70000 }]\n", [
      "1:32 listeners[0].port: must be a whole number from 0 to 65535, not 70000",
    ]);
    check("store: { commitDelayMs: -1, bytesMax: 1KiB, pendingBytesMax: .inf }\n", [
      "1:25 store.commitDelayMs: must be a whole number from 0 to 1000 ms, not -1",
      "1:39 store.bytesMax: must be a size of at least 1MiB, as a number of bytes or like 64KiB, not 1KiB",
      "1:62 store.pendingBytesMax: must be a size of at least 64KiB, as a number of bytes or like 64KiB, not .inf",
    ]);
    check("devices: [{ name: a, port: /p, dataBits: 9 }]\n", [
      "1:42 devices[0].dataBits: must be 5, 6, 7 or 8, not 9",
    ]);
  });

  it("lists the words of a choice, the nearest first", () => {
    check("devices: [{ name: a, port: /p, decode: { type: cvs } }]\n", [
      '1:48 devices[0].decode.type: must be one of csv, raw, text, json, nmea, binary or key-value, did you mean "csv"?',
    ]);
    check("listeners: [{ name: lan, type: tsl }]\n", [
      '1:32 listeners[0].type: must be one of tls, tcp, ws or wss, did you mean "tls"?',
    ]);
  });

  it("says what is missing and what it is for", () => {
    check("devices:\n  - name: boiler\ncluster:\n", [
      "2:5 devices[0].port: is missing: Serial port, or tcp://host:port of a serial server.",
      "3:1 cluster.endpoints: is missing: Members of the etcd cluster.",
    ]);
    check("uplink: { endpoints: }\n", [
      "1:9 uplink.endpoints: is missing: MQTT brokers of the cloud. Those that have failed least are tried first.",
    ]);
    check("uplink: { endpoints: [] }\n", ["1:22 uplink.endpoints: must have at least 1, has 0"]);
  });

  it("takes a size only where bytes belong, and offers the unit that was meant", () => {
    check("mqtt: { connectTimeoutMs: 10KiB, packetBytesMax: 8M, queueBytesMax: 1.3B }\n", [
      "1:27 mqtt.connectTimeoutMs: must be a whole number from 100 to 3600000 ms: a size has no place here",
      "1:50 mqtt.packetBytesMax: must be a size from 128B to 268435455B, as a number of bytes or like 64KiB, did you mean 8MiB?",
      "1:69 mqtt.queueBytesMax: must be a size of at least 1KiB, as a number of bytes or like 64KiB; units are B, kB, MB, GB, TB, KiB, MiB, GiB",
    ]);
  });

  it("says a pattern in words", () => {
    check('gateway: { id: "a b", site: "" }\n', [
      "1:16 gateway.id: must be letters, digits, dots, dashes or underscores, beginning with a letter or digit, at most 63",
      "1:29 gateway.site: must not be empty",
    ]);
    check("devices: [{ name: a, port: /p, framing: { type: delimiter, delimiter: 10 } }]\n", [
      "1:71 devices[0].framing.delimiter: must be text: put it in quotes",
    ]);
  });

  it("shows keys of the file with their control characters escaped, and cut", () => {
    check('"\\e[31m": 1\n', [
      '1:1 ["\\u001b[31m"]: unknown key, known here: gateway, store, listeners, access, mqtt, devices, uplink, cluster, health, control, log',
    ]);
    const [line = ""] = mistakesOf(`${"k".repeat(900)}: 1\n`);
    assert.ok(line.length < 250 && line.includes("unknown key"));
  });
});

describe("mistakes of the file", () => {
  it("come with those of the values behind them", () => {
    check("listeners:\n  - name: lan\n   host: x\nstore:\n  pth: 5\n", [
      "3:1 not valid YAML: Sequence item without - indicator",
      '5:3 store.pth: unknown key, did you mean "path"?',
    ]);
    check("log:\n\tlevel: info\n", ["2:1 not valid YAML: indent with spaces, not with tabs"]);
    check("gateway: { site: b: c }\nlog: { levl: info }\n", [
      "1:18 not valid YAML: a second key or colon on the line; put text with a colon in quotes",
      '2:8 log.levl: unknown key, did you mean "level"?',
    ]);
  });

  it("are what means nothing in a configuration", () => {
    check("gateway: !place { id: a }\n", [
      "1:10 tags (!) mean nothing here: put text in quotes instead",
    ]);
    check("%YAML 1.1\n---\nlog: { level: info }\n", ["1:1 directives (%) mean nothing here"]);
    check("log: {}\n---\nlog: {}\n", ["2:1 a second document begins here: one file holds one"]);
    check("? [a, b]\n: 1\n", ["1:3 not a key: a key is a plain word"]);
    check("log: *there\n", ["1:6 this alias (*) stands for nothing: no anchor (&) before it"]);
    check("log: &log { level: *log }\n", [
      "1:20 this alias (*) stands for nothing: no anchor (&) before it",
    ]);
  });

  it("end the reading when it is nested without end", { timeout: 10_000 }, () => {
    for (const part of ["[", "{a: ", "- ", "? ", "a: [", "[[{"]) {
      const lines = mistakesOf(part.repeat(Math.floor(2 ** 20 / part.length)));
      assert.equal(lines.length, 1, part);
      assert.match(lines[0] ?? "", /nested too deep: the file was not read$/, part);
    }
  });

  it("end the reading when aliases multiply", { timeout: 10_000 }, () => {
    const bomb = ["x0: &x0 [a, a, a, a, a, a, a, a, a]"];
    const chain = ["y0: &y0 [[[[[[[[[[[[]]]]]]]]]]]]"];
    for (let i = 1; i < 1000; i++) {
      if (i < 30) bomb.push(`x${i}: &x${i} [${`*x${i - 1}, `.repeat(9)}]`);
      chain.push(`y${i}: &y${i} [[[[[[[[[[[[*y${i - 1}]]]]]]]]]]]]`);
    }
    for (const lines of [bomb, chain]) {
      const limits = mistakesOf(lines.join("\n")).filter((line) => line.includes("filled in"));
      assert.equal(limits.length, 1);
    }
  });

  it("are listed up to a bound, and counted beyond", () => {
    const error = errorOf(() => parseConfig("a: 1\nb: 2\nc: 3\n", "f.yaml", { mistakesMax: 2 }));
    assert.equal(error.details["omitted"], 1);
    const lines = formatMistakes(error).split("\n");
    assert.deepEqual(lines.at(-1), "3 mistakes in f.yaml, the first 2 of them are shown");
    assert.equal(lines.length, 3);
    const many = mistakesOf("a: 1\n".repeat(20_000));
    assert.equal(many.length, 100);
  });
});

describe("loading", () => {
  it("names path and remedy when there is no reading the file", async () => {
    await withFile("", async (path) => {
      const missing = `${path}.not`;
      await assert.rejects(loadConfig(missing), {
        code: "ERR_CONFIG_UNREADABLE",
        message: `cannot read ${missing}: there is no such file; start from deploy/fieldgate.example.yaml, or name another with --config`,
      });
      await assert.rejects(loadConfig(join(path, "..")), {
        code: "ERR_CONFIG_UNREADABLE",
        message: `cannot read ${join(path, "..")}: it is a directory; name the file in it`,
      });
    });
  });

  it("reads no more of a file than the bound, however long it is", async () => {
    await assert.rejects(loadConfig("/dev/zero"), {
      code: "ERR_CONFIG_INVALID",
      message: "/dev/zero has 1 mistake, the first in line 1",
    });
    await withFile("# twelve bytes\n", async (path) => {
      await loadConfig(path, { bytesMax: 15 });
      const error = await loadConfig(path, { bytesMax: 14 }).catch((thrown) => thrown);
      assert.equal(
        formatMistakes(error),
        `${path}:1:1 the file is larger than 14B: it was not read\n1 mistake in ${path}`,
      );
    });
  });

  it("says that a file is not UTF-8", async () => {
    await withFile(Buffer.from([0x61, 0x3a, 0x20, 0xff]), async (path) => {
      const error = await loadConfig(path).catch((thrown) => thrown);
      assert.match(formatMistakes(error), /:1:1 the file is not UTF-8 text: save it as UTF-8\n/);
    });
  });

  it("passes other errors through formatMistakes as their message", () => {
    const error = new FieldgateError("ERR_CONFIG_INVALID", "device boiler: no topic");
    assert.equal(formatMistakes(error), "device boiler: no topic");
  });
});

async function withFile(content: string | Buffer, use: (path: string) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-config-"));
  try {
    const path = join(directory, "fieldgate.yaml");
    await writeFile(path, content);
    await use(path);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function errorOf(act: () => unknown): FieldgateError {
  try {
    act();
  } catch (error) {
    if (error instanceof FieldgateError) return error;
    throw error;
  }
  return assert.fail("nothing was thrown");
}

function mistakesOf(yaml: string): string[] {
  const error = errorOf(() => parseConfig(yaml, "f.yaml"));
  assert.equal(error.code, "ERR_CONFIG_INVALID");
  const lines = formatMistakes(error).split("\n");
  return lines.slice(0, -1).map((line) => line.replace(/^f\.yaml:/, ""));
}

function check(yaml: string, expected: readonly string[]): void {
  assert.deepEqual(mistakesOf(yaml), expected);
}
