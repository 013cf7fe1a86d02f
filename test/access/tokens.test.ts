import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { KeyBook } from "../../src/access/key-book.ts";
import { parseKeys } from "../../src/access/key-text.ts";
import { fetchKeys } from "../../src/access/net-key-set.ts";
import { looksLikeToken, TokenCheck, type TokenOptions } from "../../src/access/token-check.ts";
import { silentLog } from "../../src/base/log.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const GOES_ON = new AbortController().signal;

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ED = generateKeyPairSync("ed25519");
const OTHER = generateKeyPairSync("ed25519");
const NOW_S = 1_800_000_000;
const CLAIMS = { iss: "maker", aud: "gate", sub: "ann", exp: NOW_S + 60, roles: ["sensor"] };
const OPTIONS: TokenOptions = {
  ...{ issuer: "maker", audience: "gate", userClaim: "sub", rolesClaim: "roles" },
  ...{ toleranceSeconds: 30, whenClockIsUnsure: "accept" },
};

describe("a token", () => {
  it("signed with RS256, ES256 or EdDSA says who it is, its roles, its claims and its end", async () => {
    for (const [alg, { privateKey }] of [
      ["RS256", RSA],
      ["ES256", EC],
      ["EdDSA", ED],
    ] as const) {
      const found = await judge(token({ alg, kid: alg }, { ...CLAIMS, area: 7 }, privateKey));
      assert.ok(found.principal !== null, alg);
      assert.deepEqual(found.principal, {
        ...{ user: "ann", method: "token", roles: ["sensor"] },
        claims: { iss: "maker", aud: "gate", sub: "ann", area: "7" },
      });
      assert.equal(found.endsMs, (NOW_S + 90) * 1000);
    }
  });

  const hour = 3600;
  const cases: readonly (readonly [name: string, token: string, reason: string])[] = [
    ["without a signature, as alg none", `${part({ alg: "none" })}.${part(CLAIMS)}.`, "algorithm"],
    ["as alg None", `${part({ alg: "None" })}.${part(CLAIMS)}.`, "algorithm"],
    ["signed with the public key as a shared secret", confused(), "algorithm"],
    ["signed with an algorithm named as what every object has", odd("constructor"), "algorithm"],
    ["signed with RS512, though with the right key", odd("RS512"), "algorithm"],
    ["signed with PS256", odd("PS256"), "algorithm"],
    ["whose key is another one", ed({ ...CLAIMS }, OTHER.privateKey), "signature"],
    ["that says ES256 and is signed with EdDSA", tokenAs("ES256"), "signature"],
    ["with a claim that was changed", changed(), "signature"],
    ["that has ended", ed({ ...CLAIMS, exp: NOW_S - hour }), "has ended"],
    ["that is not valid yet", ed({ ...CLAIMS, nbf: NOW_S + hour }), "not valid yet"],
    ["that never ends", ed({ ...CLAIMS, exp: undefined }), "without an end"],
    ["that ends at no number", ed({ ...CLAIMS, exp: "never" }), "without an end"],
    ["of another maker", ed({ ...CLAIMS, iss: "other" }), "another issuer"],
    ["of no maker", ed({ ...CLAIMS, iss: undefined }), "another issuer"],
    ["for somebody else", ed({ ...CLAIMS, aud: ["other"] }), "somebody else"],
    ["for nobody", ed({ ...CLAIMS, aud: undefined }), "somebody else"],
    ["without a user", ed({ ...CLAIMS, sub: undefined }), "names no user"],
    ["whose user is no text", ed({ ...CLAIMS, sub: { a: 1 } }), "names no user"],
    [
      "whose user has what is not seen in it",
      ed({ ...CLAIMS, sub: "ad\u200bmin" }),
      "names no user",
    ],
    ["whose user has a null character in it", ed({ ...CLAIMS, sub: "ad\0min" }), "names no user"],
    ["whose user is endless", ed({ ...CLAIMS, sub: "x".repeat(5000) }), "names no user"],
    ["whose algorithm is no text", `${part({ alg: 7 })}.${part(CLAIMS)}.x`, "algorithm"],
    ["whose claims are none", ed([] as never), "malformed"],
    ["of a key that is not known", tokenOf({ alg: "EdDSA", kid: "gone" }), "key not known"],
    ["that brings its own key", tokenOf({ alg: "EdDSA", jwk: jwk(OTHER) }, OTHER), "signature"],
    ["that says where its key is", tokenOf({ alg: "EdDSA", jku: "http://x" }, OTHER), "signature"],
    ["that demands what we do not know", tokenOf({ alg: "EdDSA", crit: ["x"], x: 1 }), "malformed"],
  ];
  for (const [name, text, reason] of cases) {
    it(`${name} is refused with 4`, async () => {
      const found = await judge(text);
      assert.equal(found.principal, null);
      assert.equal("code" in found && found.code, 4);
      assert.match("reason" in found ? found.reason : "", new RegExp(reason));
      assert.ok(looksLikeToken(Buffer.from(text)), "it is not tried as a password");
    });
  }

  it("is given the tolerance, and not a second more", async () => {
    for (const [exp, nbf, taken] of [
      [NOW_S - 29, NOW_S - 60, true],
      [NOW_S - 30, NOW_S - 60, false],
      [NOW_S + 60, NOW_S + 30, true],
      [NOW_S + 60, NOW_S + 31, false],
    ] as const) {
      const { principal } = await judge(ed({ ...CLAIMS, exp, nbf }));
      assert.equal(principal !== null, taken, `${exp - NOW_S} ${nbf - NOW_S}`);
    }
  });

  it("with hundreds of claims and roles leaves a bounded, plain principal", async () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`c${i}`, "x"]));
    const claims = { ...CLAIMS, ...many, big: "x".repeat(3000), deep: { a: [1] } };
    const roles = [...Array.from({ length: 500 }, (_, i) => `r${i}`), 7, null];
    const text = ed({ ...claims, roles, ["__proto__"]: "x" });
    const found = await judge(text);
    assert.ok(found.principal !== null);
    assert.equal(found.principal.roles.length, 64);
    assert.ok(Object.keys(found.principal.claims).length <= 32);
    assert.ok(JSON.stringify(found.principal).length < 4000);
  });

  it("is taken while the clock is not set, until it is; or refused with 3 where that is wanted", async () => {
    const ended = ed({ ...CLAIMS, exp: NOW_S - 7 * 86_400 });
    const accepted = await judge(ended, { wallIsSure: false });
    assert.ok(accepted.principal !== null);
    assert.equal(accepted.endsMs, (NOW_S - 7 * 86_400 + 30) * 1000, "it ends when that is known");
    assert.equal(
      (await judge(tokenOf({ alg: "EdDSA" }, OTHER), { wallIsSure: false })).principal,
      null,
    );
    const refused = await judge(ended, { wallIsSure: false, whenClockIsUnsure: "refuse" });
    assert.deepEqual(refused, { principal: null, code: 3, reason: "clock is not set" });
  });
});

describe("keys", () => {
  it("are taken from a key set or PEM; private and shared ones are not", () => {
    const set = { keys: [jwk(RSA), { kty: "oct", k: "AAAA" }, { ...jwk(ED), d: "AAAA" }, 7, null] };
    assert.deepEqual(parseKeys(JSON.stringify(set)), [jwk(RSA)]);
    const pem = EC.publicKey.export({ type: "spki", format: "pem" }).toString();
    assert.equal(parseKeys(pem)[0]?.kty, "EC");
    const secret = EC.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    for (const text of [
      secret,
      "",
      "{}",
      "[]",
      "null",
      '{"keys":[]}',
      '{"keys":[{"kty":"oct"}]}',
    ]) {
      assert.throws(() => parseKeys(text), { code: "ERR_TOKEN_KEYS" }, text.slice(0, 20));
    }
  });

  it("that are not known are fetched again, not more often than allowed; the last good ones stay", async () => {
    const clock = new SimClock();
    let text = JSON.stringify({ keys: [{ ...jwk(OTHER), kid: "old" }] });
    let fetched = 0;
    let broken = false;
    const kept: string[] = [];
    const source = {
      async read() {
        fetched++;
        if (broken) throw new Error("no link");
        return text;
      },
    };
    const shelf = {
      get: async () => kept.at(-1) ?? null,
      put: async (put: string) => void kept.push(put),
    };
    const book = () => new KeyBook(source, { shelf, pauseMs: 30_000 }, { clock, log: silentLog });
    const keys = book();
    await keys.start(3_600_000);
    await keys.freshen();
    assert.equal(fetched, 1);
    text = JSON.stringify({ keys: [{ ...jwk(ED), kid: "new" }] });
    const check = new TokenCheck(OPTIONS, { clock, wallIsSure: () => false, keys });
    const fresh = tokenOf({ alg: "EdDSA", kid: "new" });
    assert.equal((await check.check(fresh)).principal, null, "not again so soon");
    assert.equal(fetched, 1);
    await clock.run(clock.monotonicMs() + 30_000);
    assert.notEqual((await check.check(fresh)).principal, null);
    assert.equal(fetched, 2);
    broken = true;
    await clock.run(clock.monotonicMs() + 30_000);
    await Promise.all([1, 2, 3].map(() => check.check(tokenOf({ alg: "EdDSA", kid: "x" }))));
    assert.equal(fetched, 3, "who comes while it is under way waits for it");
    assert.notEqual((await check.check(fresh)).principal, null);
    assert.match(keys.status().error ?? "", /no link/);
    await keys.stop();
    const after = book();
    await after.start(3_600_000);
    assert.equal(after.status().keys, 1, "a gateway that starts without its link has those kept");
    await after.stop();
  });

  it("are fetched with one request, within bounds, from nowhere else", async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      if (request.url?.startsWith("/redirect"))
        response.writeHead(302, { location: "/keys" }).end();
      else if (request.url?.startsWith("/huge")) response.end("x".repeat(300_000));
      else if (request.url === "/keys") response.end("{}");
      else if (request.url?.startsWith("/cut")) response.write("{", () => response.destroy());
      else if (request.url?.startsWith("/drip")) response.write("{");
      else if (request.url?.startsWith("/error")) response.writeHead(500).end();
      else asked.push(request.url ?? "");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    try {
      assert.equal(await fetchKeys(`http://127.0.0.1:${port}/keys`, null, GOES_ON), "{}");
      for (const path of ["redirect", "huge", "error", "cut", "drip"]) {
        const url = `http://127.0.0.1:${port}/${path}?token=s3cret`;
        const fetched = fetchKeys(url, null, GOES_ON, path === "drip" ? 200 : 10_000);
        await assert.rejects(fetched, (error: Error) => !error.message.includes("s3cret"));
      }
      const source = {
        read: (signal: AbortSignal) => fetchKeys(`http://127.0.0.1:${port}/silent`, null, signal),
      };
      const options = { shelf: { get: async () => null, put: async () => {} }, pauseMs: 1 };
      const keys = new KeyBook(source, options, { clock: new SimClock(), log: silentLog });
      await keys.start(3_600_000);
      await until("it is asked", () => asked.length === 1);
      await keys.stop();
      assert.deepEqual(asked, ["/silent"], "nobody else was asked, and a stop waits for nothing");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function token(
  header: { readonly alg: string; readonly [name: string]: unknown },
  claims: unknown,
  key: KeyObject,
): string {
  const text = `${part(header)}.${part(claims)}`;
  const hash = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  const signature = sign(hash, Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });
  return `${text}.${signature.toString("base64url")}`;
}

function ed(claims: unknown, key = ED.privateKey): string {
  return token({ alg: "EdDSA" }, claims, key);
}

function tokenOf(
  header: { readonly alg: string; readonly [name: string]: unknown },
  by = ED,
): string {
  return token(header, CLAIMS, by.privateKey);
}

function tokenAs(alg: string): string {
  return token({ alg }, CLAIMS, ED.privateKey);
}

function odd(alg: string): string {
  return token({ alg }, CLAIMS, RSA.privateKey);
}

function confused(): string {
  const secret = RSA.publicKey.export({ type: "spki", format: "pem" });
  const text = `${part({ alg: "HS256" })}.${part(CLAIMS)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

function changed(): string {
  const [header, , signature] = ed(CLAIMS).split(".");
  return `${header}.${part({ ...CLAIMS, sub: "admin" })}.${signature}`;
}

function jwk({ publicKey }: { readonly publicKey: KeyObject }) {
  return publicKey.export({ format: "jwk" });
}

async function judge(
  text: string,
  how: { wallIsSure?: boolean; whenClockIsUnsure?: "accept" | "refuse" } = {},
) {
  const clock = new SimClock();
  clock.wallMs = () => NOW_S * 1000;
  const set = [
    { ...jwk(RSA), kid: "RS256" },
    { ...jwk(EC), kid: "ES256" },
    { ...jwk(ED), kid: "EdDSA" },
  ];
  const source = { read: async () => JSON.stringify({ keys: set }) };
  const keys = new KeyBook(source, { shelf: null, pauseMs: 1000 }, { clock, log: silentLog });
  await keys.start(3_600_000);
  const { wallIsSure = true, whenClockIsUnsure = "accept" } = how;
  const check = new TokenCheck(
    { ...OPTIONS, whenClockIsUnsure },
    { clock, wallIsSure: () => wallIsSure, keys },
  );
  const found = await check.check(text);
  await keys.stop();
  return found;
}
