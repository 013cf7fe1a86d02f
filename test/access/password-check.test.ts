import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { CheckTurns, LINES, type Waiting } from "../../src/access/check-turns.ts";
import { PasswordCheck, type PasswordSource } from "../../src/access/password-check.ts";
import { hashPassword, parsePasswordHash } from "../../src/access/phc.ts";
import { parseUsers, type User } from "../../src/access/users-text.ts";
import { WorkerScrypt } from "../../src/access/worker-scrypt.ts";
import { jsonLog, silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const CHEAP = { ln: 10, r: 8, p: 1 };

describe("passwords that wait to be checked", () => {
  /** Of networks called by a letter, those behind x are suspect; "a1@2" is of the user names of line 2. */
  const order = (max: number, ...names: string[]) => {
    const turns = new CheckTurns<Waiting & { name: string }>(max);
    const gone = names.flatMap((name) => {
      const [network, line] = [name.slice(0, 1), Number(name.split("@")[1] ?? 0)];
      return turns.push({ name, network, line, suspect: network === "x" })?.name ?? [];
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
    const names = order(3, "a1@1", "b1@1", "h@2", "c1@1", "d1@1");
    assert.equal(names, "d1@1 h@2 c1@1 | a1@1 b1@1", "nor who guesses another's password");
  });

  it("wait behind one check of each name that is attacked, however many addresses come and come again", async () => {
    for (const attacked of [["ann"], ["ann", "bob", "eve"], null]) {
      const { check, hashed } = checkOf("right", 64);
      let came = 0;
      let isOver = false;
      const guess = async (): Promise<void> => {
        while (!isOver) {
          const name = attacked?.[came % attacked.length] ?? `made up ${came}`;
          await check.verdict(undefined, Buffer.from("wrong"), from(`guesser ${came++}`, name));
          await new Promise((resolve) => setImmediate(resolve)); // refused at once, it comes again
        }
      };
      const guessers = Array.from({ length: 250 }, guess);
      await until("guesses are checked", () => hashed() > 50);
      const before = hashed();
      const verdict = await check.verdict(USERS.user, Buffer.from("right"), from("own", "honest"));
      const behind = hashed() - before;
      isOver = true;
      await Promise.all(guessers);
      // A made-up name may share its line and put it out: it is told to come again.
      assert.ok(verdict === "right" || (verdict === "full" && attacked === null), verdict);
      const most = (attacked?.length ?? LINES - 1) + 2; // the one under way, and its own
      assert.ok(behind <= most, `behind ${behind} checks, at most ${most}`);
    }
  });

  it("go behind all others, once somebody of their network has guessed wrong", () => {
    const turns = new CheckTurns<Waiting & { name: string }>(9);
    for (const name of ["a1", "a2", "b1", "a3"]) {
      turns.push({ name, network: name.slice(0, 1), line: 0, suspect: false });
    }
    assert.equal(turns.shift()?.name, "b1");
    turns.distrust("a");
    turns.push({ name: "c1", network: "c", line: 0, suspect: false });
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => turns.shift()?.name),
      ["c1", "a1", "a2", "a3", undefined],
    );
    assert.equal(turns.size, 0);
  });

  it("of one address that guesses cost as many checks as are free, however many come at once", async () => {
    const { check, hashed } = checkOf("right");
    let failures = 0;
    const from = { name: "ann", network: "a", suspect: false, mayGo: () => failures < 5 };
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
    const [clock, told] = [new SimClock(), [] as string[]];
    const log = jsonLog({ clock, level: "error", write: (line) => told.push(line) });
    const limits = { checksMax: 9, knownMax: 9 };
    const check = new PasswordCheck(limits, { isPassword, stop: async () => {} }, { clock, log });
    const tries = async () => {
      const verdict = check.verdict(user, Buffer.from("right"), from("a"));
      await clock.run(1);
      assert.equal(await verdict, "failed");
    };
    for (let i = 0; i < 3; i++) await tries();
    assert.equal(told.length, 1, "one line for all failures of a minute");
    assert.match(told[0] ?? "", /"password not checked","error":"no memory","failed":1}/);
    assert.doesNotMatch(told[0] ?? "", /right|ann/, "and no secret in it");
    await clock.run(60_000);
    await tries();
    assert.match(told[1] ?? "", /"failed":4}/);
    assert.equal(check.status.failed, 4);
    const { check: other } = checkOf("right");
    const waiting = [1, 2, 3].map(() => other.verdict(user, Buffer.from("right"), from("a")));
    await other.stop();
    assert.deepEqual((await Promise.all(waiting)).slice(1), ["failed", "failed"]);
  });
});

describe("passwords that were right", () => {
  it("are so many that are remembered; beyond that the one used longest ago is checked again, and counted", async () => {
    const { check, hashed } = checkOf("right", 100, 2);
    const login = (name: string) =>
      check.verdict({ ...(USERS.user as User), name }, Buffer.from("right"), from("own", name));
    for (const name of ["a", "b", "a", "c"]) assert.equal(await login(name), "right");
    assert.deepEqual([hashed(), check.status.known, check.status.forgotten], [3, 2, 1]);
    await login("a");
    assert.equal(hashed(), 3, "a was used since");
    await login("b");
    assert.equal(hashed(), 4);
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

function from(network: string, name = "ann"): PasswordSource {
  return { name, network, suspect: false, mayGo: () => true };
}

/** A check whose judge takes a turn of the loop, and how many passwords it has judged. */
function checkOf(right: string, checksMax = 100, knownMax = 100) {
  let judged = 0;
  const isPassword = async (password: Buffer) => {
    await new Promise((resolve) => setImmediate(resolve));
    judged++;
    return password.toString() === right;
  };
  const limits = { checksMax, knownMax };
  const judge = { isPassword, stop: async () => {} };
  const tools = { clock: systemClock, log: silentLog };
  const check = new PasswordCheck(
    limits,
    judge,
    tools,
    Buffer.alloc(32, "the names share no line"),
  );
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
