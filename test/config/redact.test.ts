import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { formatMistakes } from "../../src/config/format-mistakes.ts";
import { redact, redactUrl } from "../../src/config/redact.ts";
import { configShape } from "../../src/config/schema.ts";
import { kindOf, type Shape } from "../../src/config/shape.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

describe("a redacted configuration", () => {
  it("hides passwords wherever a URL can hold one, and nothing else", () => {
    const config = parseConfig(
      `uplink:
  endpoints: ["mqtts://gw:s3cret@cloud:8883", "mqtt://gw@cloud"]
devices:
  - { name: a, port: "tcp://u:s3cret@10.0.0.9:4001" }
`,
      "f.yaml",
    );
    const shown = redact(config);
    assert.doesNotMatch(JSON.stringify(shown), /s3cret/);
    assert.deepEqual(shown.uplink?.endpoints, ["mqtts://gw:***@cloud:8883", "mqtt://gw@cloud"]);
    assert.equal(shown.devices[0]?.port, "tcp://u:***@10.0.0.9:4001");
    assert.deepEqual({ ...shown, uplink: 0, devices: 0 }, {
      ...config,
      uplink: 0,
      devices: 0,
    } as unknown);
  });

  it("leaves users, and the paths of files with secrets", () => {
    const config = parseConfig(
      "uplink: { endpoints: [mqtts://a], username: gw, passwordFile: /etc/p, keyFile: /k, certFile: /c }",
      "f.yaml",
    );
    assert.deepEqual(redact(config), config);
  });

  it("leaves the configuration itself as it is", () => {
    const config = parseConfig("uplink: { endpoints: ['mqtt://u:p@a'] }", "f.yaml");
    redact(config);
    assert.deepEqual(config.uplink?.endpoints, ["mqtt://u:p@a"]);
  });
});

describe("a redacted URL", () => {
  it("shows nothing of a password, however it is written", () => {
    check("mqtt://u:p@h:1", "mqtt://u:***@h:1");
    check("mqtt://u:p/w#x?y@z@h:1", "mqtt://u:***@h:1");
    check("mqtt://:p@h", "mqtt://:***@h");
    check("MQTTS://u:p@h", "MQTTS://u:***@h");
    check("mqtt://u:line\nbreak@h", "mqtt://u:***@h");
    check("mqtt://h/?password=p", "mqtt://h/?***");
  });

  it("is the same where there is nothing to hide", () => {
    for (const text of ["mqtt://h:1883", "mqtt://u@h:1883", "/dev/ttyS0", "a:b@c", "", "x://"]) {
      check(text, text);
    }
  });
});

function check(text: string, expected: string): void {
  assert.equal(redactUrl(text), expected);
}

describe("a mistake in the configuration", () => {
  for (const [what, text] of [
    ["a URL whose port is none", "uplink: { endpoints: ['mqtts://u:pl4nted@host:99999'] }"],
    ["a URL with a space", "uplink: { endpoints: ['mqtts://u:pl4nted@bad host'] }"],
    ["a URL of another scheme", "uplink: { endpoints: ['ftp://u:pl4nted@host'] }"],
    ["a URL of etcd that is none", "cluster: { endpoints: ['http://u:pl4nted@ho st:1'] }"],
    ["a URL where a list belongs", "uplink: { endpoints: 'mqtts://u:pl4nted@h' }"],
    ["a URL where one word of several belongs", "log: { level: 'mqtt://u:pl4nted@h' }"],
    ["a URL where a number belongs", "mqtt: { connectRate: 'mqtt://u:pl4nted@h' }"],
    ["a password for a key that is not there", "uplink: { password: pl4nted }"],
    ["a password where its file belongs", "uplink: { passwordFile: { value: pl4nted } }"],
    ["a password twice", "uplink:\n  password: pl4nted\n  password: pl4nted\n"],
    [
      "YAML that ends before it should",
      "uplink:\n  endpoints: [ mqtts://u:pl4nted@h\n  a: 'pl4nted\n",
    ],
    ["tabs", "uplink:\n\tpassword: pl4nted\n"],
  ] as const) {
    it(`that is about ${what} tells no secret`, () => {
      assert.throws(
        () => parseConfig(text, "f.yaml"),
        (error: FieldgateError) => {
          assert.ok(error instanceof FieldgateError, String(error));
          const cause = error.cause instanceof Error ? String(error.cause.stack) : "";
          const said = `${formatMistakes(error)} ${error.stack} ${JSON.stringify(error)} ${cause}`;
          assert.doesNotMatch(said, /pl4nted/);
          return true;
        },
      );
    });
  }

  it("about any key of the schema repeats nothing of what was written there", () => {
    let mistakes = 0;
    for (const [path, written] of leaves(configShape, SECRET)) {
      for (const text of [SECRET, `mqtt://u:${SECRET}@h`, `${SECRET} ${SECRET}`, `${SECRET}/#/{`]) {
        const yaml = JSON.stringify(written).replaceAll(SECRET, text);
        const said = saidOf(yaml);
        if (said === null) continue;
        mistakes++;
        assert.equal(said.includes(SECRET), false, `${path}: ${said}`);
      }
    }
    assert.ok(mistakes > 500, `only ${mistakes} mistakes`);
  });
});

const SECRET = "pl4nted";

/** What is said of a configuration; null when nothing is wrong with it. */
function saidOf(yaml: string): string | null {
  try {
    parseConfig(yaml, "f.yaml");
    return null;
  } catch (error) {
    assert.ok(error instanceof FieldgateError, String(error));
    return `${formatMistakes(error)} ${JSON.stringify(error)}`;
  }
}

/** Each key that holds a single value, as a configuration in which that stands there. */
function leaves(shape: Shape, value: string): readonly (readonly [path: string, unknown])[] {
  const kind = kindOf(shape);
  const below = (inner: Shape, name: string, wrap: (inner: unknown) => unknown) =>
    leaves(inner, value).map(
      ([path, written]) => [`${name}${path === "" ? "" : `.${path}`}`, wrap(written)] as const,
    );
  switch (kind.is) {
    case "section":
      return Object.entries(kind.keys).flatMap(([key, inner]) =>
        below(inner, key, (written) => ({ [key]: written })),
      );
    case "record":
      return below(kind.values, "x", (written) => ({ x: written }));
    case "list":
      return below(kind.items, "[0]", (written) => [written]);
    default:
      return [["", value]];
  }
}
