import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClientRights } from "../../src/access/client-rights.ts";
import { type RoleOptions, Rules } from "../../src/access/rules.ts";

const NONE = { allow: [], deny: [] };

describe("what no rule allows", () => {
  it("is denied: without roles, with an unknown role, with a role that says nothing", () => {
    for (const roles of [[], ["ghost"], ["empty"], ["__proto__"], ["constructor"]]) {
      const rights = rightsOf({ roles });
      assert.equal(rights.mayPublish("a"), false, roles.join());
      assert.equal(rights.mayReceive("a"), false, roles.join());
      assert.equal(rights.maySubscribe("a"), false, roles.join());
      assert.equal(rights.maySubscribe("#"), false, roles.join());
    }
  });
});

describe("publishing", () => {
  it("is allowed where a filter matches, and nowhere else", () =>
    publishing(["plant/+/temperature", "lab/#"], [], {
      "plant/a/temperature": true,
      "plant/a/b/temperature": false,
      "plant/temperature": false,
      lab: true,
      "lab/x/y": true,
      laboratory: false,
    }));

  it("is denied where one denies, whatever allows it, in whatever order", () =>
    publishing(["#"], ["plant/secret/#", "+/command"], {
      "plant/open": true,
      "plant/secret": false,
      "plant/secret/x": false,
      "boiler/command": false,
      "boiler/x/command": true,
    }));

  it("below $ needs a filter that says so", () => {
    publishing(["#", "+/x"], [], { "$other/x": false, "a/x": true });
    publishing(["$other/#"], [], { "$other/x": true, "other/x": false });
  });
});

describe("a variable", () => {
  it("stands for the client id, the user or a claim, also within a level", () => {
    const filters = ["by/{clientId}/#", "of/{user}", "area-{area}/x"];
    const who = { clientId: "c1", user: "ann", claims: { area: "7" } };
    publishing(
      filters,
      [],
      {
        "by/c1/x": true,
        "by/c2/x": false,
        "of/ann": true,
        "of/bob": false,
        "area-7/x": true,
        "area-8/x": false,
        "area-/x": false,
      },
      who,
    );
  });

  it("whose value could be a pattern, or several levels, or is not there, allows nothing", () => {
    for (const value of ["+", "#", "a/b", "a+", "", "x\0y"]) {
      const rights = rightsOf({
        ...{ clientId: value, user: value === "" ? null : value },
        ...{ allow: ["c/{clientId}/#", "u/{user}/#", "t/{claim}", "n/{missing}"] },
        claims: { claim: value },
      });
      for (const topic of ["c/x/y", `c/${value}/y`, "u/x", `u/${value}/x`, `t/${value}`, "n/"]) {
        assert.equal(rights.mayPublish(topic), false, `${value}: ${topic}`);
        assert.equal(rights.mayReceive(topic), false, `${value}: ${topic}`);
        assert.equal(rights.maySubscribe(topic), false, `${value}: ${topic}`);
      }
      assert.equal(rights.maySubscribe("c/+/#"), false);
      assert.equal(rights.maySubscribe("c/#"), false);
    }
  });

  it("whose value could be a pattern denies all that any value would deny", () => {
    const rights = rightsOf({ clientId: "a/b", allow: ["#"], deny: ["log/{clientId}/#"] });
    assert.equal(rights.mayPublish("log/a/b"), false);
    assert.equal(rights.mayPublish("log/x"), false);
    assert.equal(rights.mayPublish("other"), true);
  });

  it("named as what every object has is nothing", () => {
    const rights = rightsOf({ allow: ["x/{constructor}", "x/{__proto__}", "x/{toString}"] });
    for (const topic of ["x/constructor", "x/function Object", "x/[object Object]", "x/"]) {
      assert.equal(rights.mayPublish(topic), false);
    }
  });

  it("named clientId or user is never a claim", () => {
    const claims = { clientId: "admin", user: "admin" };
    const rights = rightsOf({ clientId: "c", user: null, claims, allow: ["{clientId}", "{user}"] });
    assert.equal(rights.mayPublish("admin"), false);
    assert.equal(rights.mayPublish("c"), true);
  });
});

describe("subscribing", () => {
  it("needs a filter that contains the one asked for", () =>
    subscribing(["plant/+/temperature", "lab/#", "one"], [], {
      "plant/a/temperature": true,
      "plant/+/temperature": true,
      "plant/#": false,
      "plant/+/+": false,
      "+/a/temperature": false,
      "#": false,
      "+": false,
      "lab/#": true,
      lab: true,
      "lab/+/x/#": true,
      one: true,
      "one/#": false,
    }));

  it("is refused where all of it is denied; what is denied of the rest does not come", () => {
    subscribing(["#"], ["secret/#"], {
      "#": true,
      "secret/#": false,
      "secret/+/x": false,
      "+/x": true,
    });
    const rights = rightsOf({ allow: ["#"], deny: ["secret/#"] });
    assert.equal(rights.mayReceive("secret/x"), false);
    assert.equal(rights.mayReceive("open/x"), true);
  });

  it("of a group is refused as soon as anything of it is denied", () =>
    subscribing(["#"], ["secret/+/x"], {
      "$share/g/#": false,
      "$share/g/secret/#": false,
      "$share/g/+/+/x": false,
      "$share/g/secret/a/+": false,
      "$share/g/secret/a/x": false,
      "$share/g/secret/a/y": true,
      "$share/g/secret": true,
      "$share/g/open/#": true,
      "secret/+/y": true,
    }));

  it("of a group needs the same right as of its filter: the name of the group gives none", () =>
    subscribing(["open/#"], [], { "$share/open/secret": false, "$share/x/open/#": true }));

  it("to what lies below $ needs a filter that says so", () => {
    subscribing(["#"], [], { "$SYS/#": false, "$SYS/broker/x": false, "#": true });
    subscribing(["$SYS/#"], [], { "$SYS/#": true, "+/x": false, "#": false });
  });

  it("with a wildcard where a variable stands is refused, unless the value is what any may be", () =>
    subscribing(
      ["by/{clientId}/#"],
      [],
      { "by/c/#": true, "by/c": true, "by/+/#": false, "by/#": false, "by/d/#": false },
      { clientId: "c" },
    ));

  it("to part of what a variable denies is possible, in a group it is not", () => {
    const who = { clientId: "c" };
    subscribing(["#"], ["by/{clientId}/#"], { "by/+/x": true, "by/c/x": false }, who);
    subscribing(["#"], ["by/{clientId}/#"], { "$share/g/by/+/x": false }, who);
    subscribing(["#"], ["by/{clientId}/#"], { "$share/g/by/d/x": true }, who);
  });
});

describe("the role everything", () => {
  it("allows every topic, $SYS too, but for what another role of the same client denies", () => {
    const roles: RoleOptions[] = [
      { name: "but", publish: { allow: [], deny: ["x"] }, subscribe: NONE },
    ];
    const principal = { user: null, method: "local", roles: ["everything", "but"], claims: {} };
    const rights = new ClientRights({ clientId: "c", principal }, new Rules(roles));
    assert.equal(rights.mayPublish("x"), false);
    assert.equal(rights.mayPublish("$y/z"), true);
    assert.equal(rights.maySubscribe("$SYS/#"), true);
  });
});

describe("answers", () => {
  it("are the same when asked again, for more topics than are remembered", () => {
    const rights = rightsOf({ allow: ["even/#"] });
    for (const _ of [1, 2]) {
      for (let i = 0; i < 2000; i++) {
        assert.equal(rights.mayPublish(`${i % 2 ? "odd" : "even"}/${i}`), i % 2 === 0);
      }
    }
  });
});

interface Who {
  readonly clientId?: string;
  readonly user?: string | null;
  readonly claims?: Readonly<Record<string, string>>;
}

function rightsOf(
  who: Who & {
    readonly roles?: readonly string[];
    readonly allow?: readonly string[];
    readonly deny?: readonly string[];
  },
): ClientRights {
  const { clientId = "c", user = "u", claims = {}, allow = [], deny = [] } = who;
  const rules = new Rules([
    { name: "r", publish: { allow, deny }, subscribe: { allow, deny } },
    { name: "empty", publish: NONE, subscribe: NONE },
    { name: "other", publish: { allow: ["#"], deny: [] }, subscribe: { allow: ["#"], deny: [] } },
  ]);
  const principal = { user, method: "password", roles: who.roles ?? ["r"], claims };
  return new ClientRights({ clientId, principal }, rules);
}

function publishing(
  allow: readonly string[],
  deny: readonly string[],
  topics: Readonly<Record<string, boolean>>,
  who: Who = {},
): void {
  const rights = rightsOf({ ...who, allow, deny });
  for (const [topic, allowed] of Object.entries(topics)) {
    assert.equal(rights.mayPublish(topic), allowed, topic);
    assert.equal(rights.mayReceive(topic), allowed, topic);
  }
}

function subscribing(
  allow: readonly string[],
  deny: readonly string[],
  filters: Readonly<Record<string, boolean>>,
  who: Who = {},
): void {
  const rights = rightsOf({ ...who, allow, deny });
  for (const [filter, allowed] of Object.entries(filters)) {
    assert.equal(rights.maySubscribe(filter), allowed, filter);
  }
}
