import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { CheckTurns } from "../../src/access/check-turns.ts";
import { PasswordCheck, type PasswordSource } from "../../src/access/password-check.ts";
import { hashPassword, parsePasswordHash } from "../../src/access/phc.ts";
import { parseUsers } from "../../src/access/users-text.ts";
import { WorkerScrypt } from "../../src/access/worker-scrypt.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const CHEAP = { ln: 10, r: 8, p: 1 };

describe("passwords that wait to be checked", () => {
  const order = (max: number, ...names: string[]) => {
    const turns = new CheckTurns<{ name: string; network: string; suspect: boolean }>(max);
    const gone = names.flatMap((name) => {
      const one = { name, network: name.slice(0, 1), suspect: name.startsWith("x") };
      return turns.push(one)?.name ?? [];
    });
    const served: string[] = [];
    for (let next = turns.shift(); next; next = turns.shift()) served.push(next.name);
    assert.equal(turns.size, 0);
    return `${served.join(" ")} | ${gone.join(" ")}`;
  };

  it("are served one of each network in turn, the last to come first, and where nobody has guessed wrong before", () => {
    assert.equal(order(9, "a1", "a2", "a3", "b1", "b2", "c1"), "c1 b1 a1 b2 a2 a3 | ");
    assert.equal(order(9, "x1", "x2", "a1", "a2"), "a1 a2 x1 x2 | ");
  });

  it("are so many: beyond that the last of the network with most goes, or who came first", () => {
    assert.equal(order(3, "a1", "a2", "a3", "b1"), "b1 a1 a2 | a3");
    assert.equal(order(3, "a1", "a2", "a3", "a4"), "a1 a2 a3 | a4");
    assert.equal(order(2, "a1", "b1", "c1"), "c1 b1 | a1", "nobody has more than it");
    assert.equal(order(2, "x1", "x2", "a1", "a2", "a3"), "a1 a2 | x2 x1 a3");
    assert.equal(order(2, "a1", "a2", "x1"), "a1 a2 | x1", "a guesser puts nobody out");
  });

  it("of one address that guesses cost as many checks as are free, however many come at once", async () => {
    const { check, hashed } = checkOf("right");
    let failures = 0;
    const from = { network: "a", suspect: false, mayGo: () => failures < 5 };
    const guess = async () => {
      const verdict = await check.verdict(undefined, Buffer.from("wrong"), from);
      if (verdict === "wrong") failures++;
      return verdict;
    };
    const verdicts = await Promise.all(Array.from({ length: 60 }, guess));
    assert.equal(hashed(), 5);
    assert.equal(verdicts.filter((verdict) => verdict === "late").length, 55);
  });

  it("leave one who logs in for the first time behind none of those that came before", async () => {
    const { check, hashed } = checkOf("right", 200);
    const { user } = USERS;
    const guesses = Array.from({ length: 200 }, (_, i) =>
      check.verdict(user, Buffer.from(`${i}`), from(`guesser ${i % 20}`)),
    );
    let before = 0;
    const login = check.verdict(user, Buffer.from("right"), from("own")).then((verdict) => {
      before = hashed();
      return verdict;
    });
    assert.equal(await login, "right");
    assert.ok(before <= 2, `${before} were checked before`);
    assert.equal(await check.verdict(user, Buffer.from("right"), from("own")), "right");
    assert.ok(hashed() <= before + 2, "it is remembered");
    assert.ok((await Promise.all(guesses)).every((each) => each === "wrong" || each === "full"));
  });

  it("that cannot be checked, or are given up, let nobody in", async () => {
    const { user } = USERS;
    const isPassword = () => Promise.reject(new Error("no memory"));
    const check = new PasswordCheck(9, { isPassword, stop: async () => {} }, systemClock);
    assert.equal(await check.verdict(user, Buffer.from("right"), from("a")), "failed");
    const { check: other } = checkOf("right");
    const waiting = [1, 2, 3].map(() => other.verdict(user, Buffer.from("right"), from("a")));
    await other.stop();
    assert.deepEqual((await Promise.all(waiting)).slice(1), ["failed", "failed"]);
  });
});

describe("the thread that compares passwords", () => {
  it("tells the right one from wrong ones, and gives way to all other threads", async () => {
    const scrypt = new WorkerScrypt(systemClock);
    const before = await niceOfThreads();
    try {
      const known = parsePasswordHash(await hashPassword(Buffer.from("secret"), CHEAP));
      assert.ok(known !== null);
      for (const [password, right] of [
        ["secret", true],
        ["Secret", false],
        ["secret\0", false],
      ] as const) {
        assert.equal(await scrypt.isPassword(Buffer.from(password), known), right, password);
      }
      const [own = 0] = before;
      const gained = (await niceOfThreads()).filter((nice) => nice > own);
      assert.deepEqual(gained, [Math.min(19, own + 10)]);
      // More memory than Node is told to give: the thread ends, and the next password has another one.
      await assert.rejects(scrypt.isPassword(Buffer.from("x"), { ...known, ln: 24 }));
      assert.equal(await scrypt.isPassword(Buffer.from("secret"), known), true);
      const stopped = assert.rejects(scrypt.isPassword(Buffer.from("x"), { ...known, ln: 18 }));
      await scrypt.stop();
      await stopped;
      await assert.rejects(scrypt.isPassword(Buffer.from("secret"), known), /has ended/);
      assert.equal((await niceOfThreads()).filter((nice) => nice > own).length, 0);
    } finally {
      await scrypt.stop();
    }
  });

  it("ends when nobody has logged in for a while, and begins again", async () => {
    const clock = new SimClock();
    const scrypt = new WorkerScrypt(clock);
    const known = parsePasswordHash(await hashPassword(Buffer.from("secret"), CHEAP));
    assert.ok(known !== null);
    const threads = async () => (await niceOfThreads()).length;
    try {
      assert.equal(await scrypt.isPassword(Buffer.from("secret"), known), true);
      const working = await threads();
      await clock.run(60_000);
      await until("it has ended", async () => (await threads()) < working);
      assert.equal(await scrypt.isPassword(Buffer.from("secret"), known), true);
    } finally {
      await scrypt.stop();
    }
  });
});

const USERS = {
  user: parseUsers(
    `# fieldgate users 1\nann:${await hashPassword(Buffer.from("right"), CHEAP)}\n# end\n`,
  ).get("ann"),
};

function from(network: string): PasswordSource {
  return { network, suspect: false, mayGo: () => true };
}

/** A check whose judge takes a turn of the loop, and how many passwords it has judged. */
function checkOf(right: string, max = 100) {
  let judged = 0;
  const isPassword = async (password: Buffer) => {
    await new Promise((resolve) => setImmediate(resolve));
    judged++;
    return password.toString() === right;
  };
  const check = new PasswordCheck(max, { isPassword, stop: async () => {} }, systemClock);
  return { check, hashed: () => judged };
}

/** Of this process; the first is that of its main thread. */
async function niceOfThreads(): Promise<readonly number[]> {
  const threads = (await readdir("/proc/self/task")).map(Number).sort((a, b) => a - b);
  return Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/self/task/${thread}/stat`, "utf8").catch(() => "");
      return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[16]);
    }),
  );
}
