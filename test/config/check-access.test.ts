import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { withCredentials } from "../../src/config/credentials.ts";
import { configOf } from "../support/config.ts";

const TOKENS = { issuer: "i", audience: "a" };
const WIDE = { name: "lan", host: "0.0.0.0", insecure: true };

describe("access is refused by the configuration", () => {
  const cases: readonly (readonly [what: string, config: object, paths: readonly string[]])[] = [
    ["a role twice", roles({ name: "a" }, { name: "a" }), ["access.roles[1].name"]],
    ["a role called everything", roles({ name: "everything" }), ["access.roles[0].name"]],
    [
      "filters that are none",
      roles({ name: "a", publish: { allow: ["a#", "a/{user", "$share/g/x"], deny: ["+a"] } }),
      ["allow[0]", "allow[1]", "allow[2]", "deny[0]"].map((at) => `access.roles[0].publish.${at}`),
    ],
    [
      "roles that are not defined",
      {
        access: {
          ...{ loopbackRoles: ["x"], anonymousRoles: ["y"], downlinkRoles: ["z"] },
          certificates: { roles: [{ match: "*", roles: ["everything", "w"] }] },
        },
      },
      [
        ...["access.loopbackRoles[0]", "access.anonymousRoles[0]", "access.downlinkRoles[0]"],
        "access.certificates.roles[0].roles[1]",
      ],
    ],
    ["tokens without keys", { access: { tokens: TOKENS } }, ["access.tokens"]],
    [
      "tokens with keys from two places",
      { access: { tokens: { ...TOKENS, keysFile: "f", keysUrl: "https://x/y" } } },
      ["access.tokens"],
    ],
    [
      "keys that anyone on the way could change",
      { access: { tokens: { ...TOKENS, keysUrl: "http://id.example/keys" } } },
      ["access.tokens.keysUrl"],
    ],
    [
      "methods that nothing is configured for",
      { listeners: [{ name: "a", methods: ["password", "token", "certificate"] }] },
      Array.from({ length: 3 }, () => "listeners[0].methods"),
    ],
    [
      "a listener that lets in who may do nothing",
      { listeners: [{ ...WIDE, anonymous: true }] },
      ["listeners[0].anonymous"],
    ],
    [
      "limits of what is no filter",
      { mqtt: { topicRates: [{ match: "a/#/b" }] } },
      ["mqtt.topicRates[0].match"],
    ],
  ];
  for (const [what, config, paths] of cases) {
    it(`for ${what}`, () => assert.deepEqual(mistakesOf(config), paths));
  }

  it("and is taken when all is there", () => {
    const access = {
      usersFile: "u",
      tokens: { ...TOKENS, keysUrl: "http://127.0.0.1:8080/keys" },
      roles: [{ name: "a", publish: { allow: ["x/{clientId}-{area}/#", "$other/x"] } }],
      anonymousRoles: ["a"],
    };
    const listener = { ...WIDE, anonymous: true, methods: ["token", "password"] };
    assert.deepEqual(mistakesOf({ access, listeners: [listener] }), []);
  });
});

describe("a credential", () => {
  const config = configOf({ access: { usersFile: "credential:users" } });

  it("is a file in the directory that systemd names; other files stay as they are", () => {
    assert.equal(withCredentials(config, "/run/c").access.usersFile, "/run/c/users");
    const plain = configOf({ access: { usersFile: "/etc/users" } });
    assert.deepEqual(withCredentials(plain, undefined), plain);
  });

  it("is refused without systemd, and with a path for a name", () => {
    assert.throws(() => withCredentials(config, undefined), { code: "ERR_CONFIG_UNREADABLE" });
    for (const name of ["../x", "a/b", "", ".x"]) {
      const odd = configOf({ access: { usersFile: `credential:${name}` } });
      assert.throws(() => withCredentials(odd, "/run/c"), { code: "ERR_CONFIG_UNREADABLE" });
    }
  });
});

function roles(...all: readonly object[]) {
  return { access: { roles: all } };
}

function mistakesOf(config: object): string[] {
  try {
    configOf(config);
    return [];
  } catch (error) {
    assert.ok(error instanceof FieldgateError);
    return (error.details["mistakes"] as { path: string }[]).map(({ path }) => path);
  }
}
