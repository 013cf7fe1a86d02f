import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Mistake } from "../../src/config/mistake.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

const PEER =
  "cluster:\n  { endpoints: [http://a:2379], peer: { host: a, caFile: a, certFile: b, keyFile: c";

describe("the site", () => {
  it("cannot be safe where nothing is copied to a peer", () => {
    const message =
      "1 store.durability: cannot be safe: there is no cluster.peer, so nothing is copied: configure it, or choose local";
    check("store: { durability: safe }", [message]);
    check("store: { durability: safe }\ncluster: { endpoints: [http://a:2379] }", [message]);
    check(`store: { durability: safe }\n${PEER} } }`, []);
  });

  it("takes frames from peers that hold the largest block", () => {
    const message =
      "2 cluster.peer.frameBytesMax: must be at least 1344KiB: store.blockBytesMax, mqtt.packetBytesMax and 64 KiB together";
    check(`${PEER}, frameBytesMax: 1343KiB } }`, [message]);
    check(`${PEER}, frameBytesMax: 1344KiB } }`, []);
  });

  it("has one name and one address for each listener", () => {
    check(
      `listeners:
  - { name: a, port: 1 }
  - { name: a, port: 2 }
  - { name: c, port: 1 }
  - { name: d, port: 2, host: 0.0.0.0, insecure: true }
  - { name: e, port: 1, host: 127.0.0.2 }
  - { name: f, port: 0 }
  - { name: g, port: 0 }
`,
      [
        "3 listeners[1].name: is taken by listeners[0].name: every listener needs its own name",
        "4 listeners[2].port: is taken on this address by listeners[0]",
        "5 listeners[3].port: is taken on this address by listeners[1]",
      ],
    );
  });

  it("gives a shared group one strategy", () => {
    check(
      "mqtt: { sharedGroups: [{ group: a, strategy: sticky }, { group: b, strategy: sticky }, { group: a, strategy: hash-topic }] }",
      [
        "1 mqtt.sharedGroups[2].group: is taken by mqtt.sharedGroups[0].group: a group has one strategy",
      ],
    );
  });

  it("listens beyond loopback with TLS, or says that it is insecure", () => {
    check(
      `listeners:
  - { name: a, port: 1, host: 192.168.1.5 }
  - { name: b, port: 2, host: 0.0.0.0, type: ws }
  - { name: c, port: 3, host: "::", insecure: true, type: ws }
  - { name: d, port: 4, host: 127.9.9.9 }
  - { name: e, port: 5, host: localhost }
  - { name: f, port: 6, host: "::1" }
  - { name: g, port: 7, type: tls, certFile: c, keyFile: k, insecure: true }
`,
      [
        "2 listeners[0].host: is beyond loopback, and tcp protects nothing: take tls, or say insecure: true",
        "3 listeners[1].host: is beyond loopback, and ws protects nothing: take wss, or say insecure: true",
        "8 listeners[6].insecure: does not belong to tls",
      ],
    );
  });

  it("has certificate and key where there is TLS, and only there", () => {
    check(
      `listeners:
  - { name: a, port: 1, type: tls, certFile: c }
  - { name: b, port: 2, type: wss, keyFile: k, host: 0.0.0.0 }
  - { name: c, port: 3, certFile: c, clientCaFile: a }
  - { name: d, port: 4, type: ws, keyFile: k }
  - { name: e, port: 5, type: wss, certFile: c, keyFile: k, clientCaFile: a }
`,
      [
        "2 listeners[0].keyFile: is missing: tls needs it",
        "3 listeners[1].certFile: is missing: wss needs it",
        "4 listeners[2].certFile: does not belong to tcp, only to tls and wss",
        "4 listeners[2].clientCaFile: does not belong to tcp, only to tls and wss",
        "5 listeners[3].keyFile: does not belong to ws, only to tls and wss",
      ],
    );
  });

  it("takes the user of etcd by its own keys, and its password from a file only", () => {
    const said =
      "names a user or a password: cluster.username says the one, a file that cluster.passwordFile names holds the other";
    check("cluster: { endpoints: [http://a:2379], username: u, passwordFile: /p }", []);
    check("cluster:\n  endpoints: [https://u:p@a:2379, http://u@b:2379, http://:p@c:2379]", [
      ...[0, 1, 2].map((index) => `2 cluster.endpoints[${index}]: ${said}`),
    ]);
    check("cluster:\n  endpoints: [http://a:2379]\n  username: u", [
      "3 cluster.username: needs passwordFile: etcd lets in no user without a password",
    ]);
    check("cluster:\n  endpoints: [http://a:2379]\n  passwordFile: /p", [
      "3 cluster.passwordFile: needs username: whose password it is",
    ]);
  });

  it("keeps a primary's lease within its registration", () => {
    check(
      `cluster:
  endpoints: [http://a:2379, http://a:2379, "http://:2379", http://b/path]
  primaryTtlSeconds: 11
`,
      [
        "2 cluster.endpoints[1]: is the same as cluster.endpoints[0]",
        "2 cluster.endpoints[2]: is no URL: scheme://host:port, with the special characters of a user or password as %XX",
        "2 cluster.endpoints[3]: has something after the port: scheme://host:port is all, special characters of a password as %XX",
        "3 cluster.primaryTtlSeconds: must not be more than registrationTtlSeconds (10 s): a primary would outlive its own registration",
      ],
    );
  });

  it("has a control socket that Linux can name", () => {
    check(`control: { socket: /${"s".repeat(106)} }`, []);
    check(`control: { socket: /${"s".repeat(107)} }`, [
      "1 control.socket: must be at most 107 bytes long, as every Unix socket",
    ]);
  });
});

describe("devices", () => {
  it("each have a name and a serial port of their own, and may share a serial server", () => {
    check(
      `devices:
  - { name: a, port: /dev/ttyS0 }
  - { name: a, port: /dev/ttyS0 }
  - { name: c, port: "tcp://10.0.0.9:4001" }
  - { name: d, port: "tcp://10.0.0.9:4001" }
  - { name: e, port: "udp://10.0.0.9:4001" }
  - { name: f, port: "tcp://10.0.0.9" }
`,
      [
        "3 devices[1].name: is taken by devices[0].name: every device needs its own name",
        "3 devices[1].port: is read by devices[0].port already: a serial port has one reader",
        "6 devices[4].port: must be a serial port such as /dev/ttyUSB0, or tcp://host:port",
        "7 devices[5].port: has no port: tcp://host:port",
      ],
    );
  });

  it("have the keys that their framing needs", () => {
    framing("type: delimiter", ["delimiter: is missing: framing delimiter needs it"]);
    framing("type: fixed", ["length: is missing: framing fixed needs it"]);
    framing("type: length-prefix", [
      "prefixBytes: is missing: framing length-prefix needs it",
      "endian: is missing: the order of more than one byte has to be said",
    ]);
    framing("type: length-prefix, prefixBytes: 1", []);
    framing("type: length-prefix, prefixBytes: 2, endian: big, offset: -2", []);
    framing('type: delimiter, delimiter: "0D0a"', []);
    framing('type: delimiter, delimiter: "3B", check: sum', []);
    framing('type: delimiter, delimiter: "2A", check: sum', [
      "delimiter: can be part of a check value, which is * and hexadecimal digits",
    ]);
  });

  it("have no keys of another framing", () => {
    framing('type: lines, delimiter: "0a"', [
      "delimiter: does not belong to framing lines, only to delimiter",
    ]);
    framing("type: cobs, length: 5, offset: 1", [
      "length: does not belong to framing cobs, only to fixed",
      "offset: does not belong to framing cobs, only to length-prefix",
    ]);
    framing("length: 5, type: linse", [
      'type: must be one of lines, fixed, slip, cobs, delimiter or length-prefix, did you mean "lines"?',
    ]);
  });

  it("have frames that their bounds let through", () => {
    framing("type: fixed, length: 1025", [
      "length: must not be more than bytesMax (1024): every frame would be refused",
    ]);
    framing("type: fixed, length: 1026, check: crc16-modbus", []);
    framing("type: fixed, length: 4, check: crc32", [
      "length: leaves no byte beside the check value, which takes 4",
    ]);
  });

  it("have columns where they are csv, and units where they have fields", () => {
    decode("type: csv", ["columns: is missing: decode csv needs the names of the columns"]);
    decode("type: json, columns: [a]", ["columns: does not belong to decode json, only to csv"]);
    decode("type: csv, columns: [a, b, a]", [
      "columns[2]: is the same as decode.columns[0]: the fields could not be told apart",
    ]);
    decode("type: csv, columns: [force, way], units: { forse: N, mass: kg }", [
      'units.forse: is not one of the columns: did you mean "force"?',
      "units.mass: is not one of the columns: force and way",
    ]);
    decode("type: raw, units: { a: V }", [
      "units: does not belong to decode raw, which has no fields",
    ]);
    decode("type: nmea, units: { a: V }", []);
    decode("type: binary", [
      "type: is binary in lines, which end where a byte is 0A: choose another framing",
      "fields: is missing: decode binary needs its fields",
    ]);
    decode("type: json, fields: [{ field: a, at: 0 }]", [
      "fields: does not belong to decode json, only to binary",
    ]);
    decode(
      "type: binary, units: { a: V }, fields: [{ field: a, at: 0 }, { field: a, at: 1, bit: 8 }]",
      [
        "fields[1].field: is the same as devices[0].decode.fields[0].field: the fields could not be told apart",
        "fields[1].bit: is beyond the 8 bits of uint8",
        "type: is binary in lines, which end where a byte is 0A: choose another framing",
        "units: does not belong to decode binary, whose fields have their own",
      ],
    );
  });

  it("have topics of their own for status, commands and replies", () => {
    const port = "port: tcp://10.0.0.9:1";
    check(
      `devices:
  - { name: a, ${port}, statusTopic: s, commandTopic: c, replyTopic: c }
  - { name: b, ${port}, statusTopic: s, commandTopic: "{device}/c", replyTopic: "x/#" }
  - { name: c, ${port}, statusTopic: $SYS/x, replyTopic: "{field}/r" }
`,
      [
        "2 devices[0].replyTopic: is c, as devices[0].commandTopic is: choose another",
        "3 devices[1].statusTopic: is s, as devices[0].statusTopic is: choose another",
        "3 devices[1].replyTopic: a topic name has no wildcards",
        "4 devices[2].statusTopic: begins with $, which is kept for the broker itself",
        '4 devices[2].replyTopic: has an unknown placeholder "{field}", known here: {gateway}, {site} and {device}',
        "4 devices[2].replyTopic: is there without a commandTopic",
      ],
    );
  });

  it("have topics that are no other device's, also by default and filled in", () => {
    const port = "port: tcp://10.0.0.9:1";
    const fields = "fields: [{ field: status, register: 0 }]";
    check(
      `gateway: { id: gw }
devices:
  - { name: a, ${port}, commandTopic: "c/{device}" }
  - { name: b, ${port}, commandTopic: c/a }
  - { name: c, ${port}, commandTopic: c/a/reply }
  - { name: d, ${port}, statusTopic: "devices/{gateway}/e" }
  - { name: e, ${port}, commandTopic: c/e, replyTopic: c/a }
  - { name: f, ${port}, topic: "devices/gw/f/{field}", modbus: { slaves: [{ name: m, unit: 1, ${fields} }] } }
  - { name: g, ${port}, topic: shared, commandTopic: c/g, replyTopic: replies }
  - { name: h, ${port}, topic: shared, commandTopic: c/h, replyTopic: replies }
`,
      [
        "4 devices[1].commandTopic: is c/a, as devices[0].commandTopic is: choose another",
        "5 devices[2].commandTopic: is c/a/reply, as devices[0].commandTopic is for its replies: choose another",
        "7 devices[4].replyTopic: is c/a, as devices[0].commandTopic is: choose another",
        "7 devices[4].topic: is devices/gw/e, as devices[3].statusTopic is: choose another",
        "8 devices[5].topic: is devices/gw/f/status for the field status, as devices[5].statusTopic is: choose another",
      ],
    );
  });

  it("publish to topics that can be published to", () => {
    topic("plant/{gateway}/{site}/{device}", []);
    topic("plant/{devise}/#", [
      'has an unknown placeholder "{devise}", did you mean {device}?',
      "a topic name has no wildcards",
    ]);
    topic("{topic}/x", [
      'has an unknown placeholder "{topic}", known here: {gateway}, {site}, {device} and {field}',
    ]);
    topic("a/{device", ["has a brace without its partner"]);
    topic("$SYS/{device}", ["begins with $, which is kept for the broker itself"]);
    topic("a/{field}", ["has {field}, but decode raw has no fields"]);
  });
});

describe("the uplink", () => {
  it("has endpoints that are scheme, host and port", () => {
    uplink("endpoints: [mqtt://a, mqtts://u:p%2F@b:8883, 'mqtt://[::1]:1883', mqtt://a]", [
      "endpoints[3]: is the same as uplink.endpoints[0]",
    ]);
    uplink("endpoints: [mqtt://a:0, mqtt://a/x, 'mqtt://a?b', 'mqtt://a:99999', http://a]", [
      "endpoints[0]: has port 0",
      "endpoints[1]: has something after the port: scheme://host:port is all, special characters of a password as %XX",
      "endpoints[2]: has something after the port: scheme://host:port is all, special characters of a password as %XX",
      "endpoints[3]: is no URL: scheme://host:port, with the special characters of a user or password as %XX",
      "endpoints[4]: must be a URL that begins with mqtt:// or mqtts://, or with srv+mqtts:// for DNS SRV",
    ]);
  });

  it("has a certificate with its key, and both with TLS only", () => {
    uplink("endpoints: [mqtts://a], certFile: c", [
      "certFile: needs keyFile: a certificate is no use without its key",
    ]);
    uplink("endpoints: [mqtts://a], keyFile: k", [
      "keyFile: needs certFile: a key is no use without its certificate",
    ]);
    uplink("endpoints: [mqtt://a], certFile: c, keyFile: k, caFile: a", [
      "certFile: is used with TLS only, and no endpoint begins with mqtts://",
      "keyFile: is used with TLS only, and no endpoint begins with mqtts://",
      "caFile: is used with TLS only, and no endpoint begins with mqtts://",
    ]);
    uplink("endpoints: [mqtt://a, mqtts://b], caFile: a", []);
  });

  it("has one user", () => {
    uplink("endpoints: [mqtt://a], passwordFile: f", [
      "passwordFile: needs username: MQTT 3.1.1 sends no password without a user [MQTT-3.1.2-22]",
    ]);
    uplink("endpoints: [mqtt://u@a], passwordFile: f", [
      "endpoints[0]: names a user, and so do username and passwordFile: keep one of them",
    ]);
    uplink("endpoints: [mqtt://a, mqtt://u:p@b], username: u", [
      "endpoints[1]: names a user, and so do username and passwordFile: keep one of them",
    ]);
  });

  it("waits at most as long as it says", () => {
    uplink("endpoints: [mqtt://a], backoffFirstMs: 60001", [
      "backoffFirstMs: must not be more than backoffMaxMs (60000 ms)",
    ]);
  });

  it("has rules that are filters and topics, and that can be reached", () => {
    const rules = [
      "{ match: a/+, remoteTopic: '{site}/{topic}' }",
      "{ match: a/#/b }",
      "{ match: a+ }",
      "{ match: $share/g/a }",
      "{ match: 'plant/{gateway}/#' }",
      "{ match: b, remoteTopic: '{topc}/#' }",
      "{ match: a/+, lane: bulk }",
      "{ match: '#' }",
      "{ match: c }",
      "{ match: $SYS/# }",
    ];
    uplink(`endpoints: [mqtt://a], rules: [${rules.join(", ")}]`, [
      "rules[1].match: # stands only at the end",
      "rules[2].match: + stands alone in its level",
      "rules[3].match: is a shared subscription; a rule is a plain topic filter",
      "rules[4].match: has {gateway}, but nothing is filled in here: use + for any level",
      'rules[5].remoteTopic: has an unknown placeholder "{topc}", did you mean {topic}?',
      "rules[5].remoteTopic: a topic name has no wildcards",
      "rules[6].match: is never reached: uplink.rules[0].match matches all of it, and the first rule decides",
      "rules[8].match: is never reached: uplink.rules[7].match matches all of it, and the first rule decides",
    ]);
  });
});

describe("what follows from another mistake", () => {
  it("is not listed again", () => {
    check("uplink:\n  endpoints: [http://a]\n  caFile: x\n", [
      "2 uplink.endpoints[0]: must be a URL that begins with mqtt:// or mqtts://, or with srv+mqtts:// for DNS SRV",
    ]);
    check("devices: [5, { name: a }, { name: a, port: 7 }]", [
      "1 devices[0]: must be a section of keys and values, not 5",
      "1 devices[1].port: is missing: Serial port, or tcp://host:port of a serial server.",
      "1 devices[2].name: is taken by devices[1].name: every device needs its own name",
      "1 devices[2].port: must be text: put it in quotes",
    ]);
    check("listeners: [{ name: a, port: x }, { name: b, host: 5 }, { name: c }]", [
      "1 listeners[0].port: must be a whole number from 0 to 65535",
      "1 listeners[1].host: must be text: put it in quotes",
    ]);
  });

  it("repeats no secret", () => {
    const secret = "hunter2";
    const yaml = [
      `uplink: { endpoints: ["mqtts://u:${secret}/@a", "mqtt:/u:${secret}@a"], username: [${secret}] }`,
      `gateway: { id: "${secret} ${secret}", site: *${secret} }`,
      `cluster: { endpoints: "http://u:${secret}@a" }`,
      `devices: [{ name: a, port: "tcp://u:${secret}@h" }]`,
    ].join("\n");
    const found = mistakes(yaml);
    assert.ok(found.length >= 5);
    assert.equal(found.filter((line) => line.includes(secret)).join("\n"), "");
  });
});

function framing(keys: string, expected: readonly string[]): void {
  const path = "1 devices[0].framing.";
  check(
    `devices: [{ name: a, port: /dev/p, framing: { ${keys} } }]`,
    expected.map((line) => path + line),
  );
}

function decode(keys: string, expected: readonly string[]): void {
  check(
    `devices: [{ name: a, port: /dev/p, decode: { ${keys} } }]`,
    expected.map(
      (line) => `1 devices[0].decode.${line.replace(" decode.col", " devices[0].decode.col")}`,
    ),
  );
}

function topic(template: string, expected: readonly string[]): void {
  check(
    `devices: [{ name: a, port: /dev/p, topic: "${template}" }]`,
    expected.map((line) => `1 devices[0].topic: ${line}`),
  );
}

function uplink(keys: string, expected: readonly string[]): void {
  check(
    `uplink: { ${keys} }`,
    expected.map((line) => `1 uplink.${line}`),
  );
}

function mistakes(yaml: string): string[] {
  try {
    parseConfig(yaml, "f.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof FieldgateError)) throw error;
    const found = error.details["mistakes"] as Mistake[];
    return found.map(({ line, path, message }) => `${line} ${path}: ${message}`);
  }
}

/** Each expected line reads `line path: message`; in the order of the file within a line. */
describe("endpoints that are found", () => {
  it("have no port of their own, or an etcd to be found in", () => {
    check(
      `uplink:
  endpoints: ["srv+mqtts://_mqtt._tcp.a.example", "srv+mqtt://_mqtt._tcp.b.example:1883"]
  caFile: /a
  endpointsPrefix: brokers/
`,
      [
        "2 uplink.endpoints[1]: has a port: the SRV records of its name say which",
        "4 uplink.endpointsPrefix: needs cluster: the keys are read in its etcd",
      ],
    );
  });
});

describe("what comes down", () => {
  it("has filters, topics and answers that fit together", () => {
    check(
      `uplink:
  endpoints: [mqtt://a]
  clientId: me
  down:
    clientId: me
    replyTopic: "sites/site/commands/answers"
    subscriptions:
      - { filter: "sites/{site}/commands/#" }
      - { filter: "a/{device}/#" }
      - { filter: "a/#/b" }
      - { filter: b, localTopic: "c/{rest}" }
      - { filter: "c/#", localTopic: "$SYS/{rest}" }
      - { filter: "sites/site/commands/#", localTopic: "{tpoic}" }
`,
      [
        "5 uplink.down.clientId: is the same as uplink.clientId: the two connections would throw each other out",
        "6 uplink.down.replyTopic: is matched by uplink.down.subscriptions[0].filter: answers would come back as commands",
        "6 uplink.down.replyTopic: is matched by uplink.down.subscriptions[5].filter: answers would come back as commands",
        "9 uplink.down.subscriptions[1].filter: has {device}, but only {gateway} and {site} are filled in here",
        "10 uplink.down.subscriptions[2].filter: # stands only at the end",
        "11 uplink.down.subscriptions[3].localTopic: has {rest}, but its filter has no wildcard",
        "12 uplink.down.subscriptions[4].localTopic: begins with $: those topics are the broker's own",
        "13 uplink.down.subscriptions[5].filter: is the same as uplink.down.subscriptions[0].filter",
        '13 uplink.down.subscriptions[5].localTopic: has an unknown placeholder "{tpoic}", did you mean {topic}?',
      ],
    );
  });
});

function check(yaml: string, expected: readonly string[]): void {
  assert.deepEqual(mistakes(yaml).sort(), [...expected].sort());
}
