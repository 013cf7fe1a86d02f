import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdtemp,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readUsers, usersStamp, writeUsers } from "../../src/access/file-users.ts";
import { hashPassword, isPassword, parsePasswordHash } from "../../src/access/phc.ts";
import { UserBook } from "../../src/access/user-book.ts";
import { parseUsers, usersText } from "../../src/access/users-text.ts";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";

const CHEAP = { ln: 10, r: 8, p: 1 };

describe("a password", () => {
  it("is right when it is the one that was hashed, and no other", async () => {
    const text = await hashPassword(Buffer.from("secret"), CHEAP);
    assert.match(text, /^\$scrypt\$ln=10,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    const known = parsePasswordHash(text);
    assert.ok(known !== null);
    assert.equal(await isPassword(Buffer.from("secret"), known), true);
    for (const wrong of ["Secret", "secret ", "", "secret\0", "secre"]) {
      assert.equal(await isPassword(Buffer.from(wrong), known), false, wrong);
    }
    assert.notEqual(await hashPassword(Buffer.from("secret"), CHEAP), text);
  });

  it("whose hash would cost minutes, gigabytes or nothing is none", () => {
    const tail = "$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
    assert.notEqual(parsePasswordHash(`$scrypt$ln=15,r=8,p=1${tail}`), null);
    for (const cost of ["ln=31,r=8,p=1", "ln=15,r=99,p=1", "ln=15,r=8,p=9", "ln=1,r=8,p=1"]) {
      assert.equal(parsePasswordHash(`$scrypt$${cost}${tail}`), null, cost);
    }
    assert.equal(parsePasswordHash("$scrypt$ln=15,r=8,p=1$c2Fs$aGFzaA"), null);
    assert.equal(parsePasswordHash("secret"), null);
  });
});

describe("a users file", () => {
  it("says the same written and read again", async () => {
    const secret = await hashPassword(Buffer.from("x"), CHEAP);
    const text = `# fieldgate users 1\nann:${secret}:a,b\nbob:*\n# end\n`;
    const users = parseUsers(text);
    assert.equal(usersText(users), text);
    assert.deepEqual(users.get("ann")?.roles, ["a", "b"]);
    assert.equal(users.get("bob")?.password, null);
    assert.equal(users.get("__proto__"), undefined);
  });

  it("is refused whole, cut off at any byte", async () => {
    const secret = await hashPassword(Buffer.from("x"), CHEAP);
    const text = `# fieldgate users 1\nann:${secret}:a\nbob:${secret}\n# end\n`;
    assert.equal(parseUsers(text.slice(0, -1)).size, 2, "only the last line end is missing");
    for (let length = 0; length < text.length - 1; length++) {
      refused(text.slice(0, length), `cut at ${length}`);
    }
  });

  it("is refused for a line that is none, and the message says nothing of what is in it", () => {
    for (const line of [
      "ann",
      "ann:hunter2",
      ":*",
      "a b:*",
      "ann:*\nann:*",
      "ann:*:a:b",
      "ann\0:*",
      "hunter2\u202e:*",
      `${"x".repeat(129)}:*`,
    ]) {
      const error = refused(`# fieldgate users 1\n${line}\n# end\n`, line);
      assert.equal(/hunter2/.test(error.message + JSON.stringify(error.details)), false);
    }
  });

  it("is written by replacing it, for nobody else to read, whatever the umask", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-users-"));
    const before = process.umask(0);
    try {
      const path = join(directory, "users");
      await writeUsers(path, parseUsers("# fieldgate users 1\nann:*:a\n# end\n"));
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      assert.equal((await readUsers(path)).users.size, 1);
      await assert.rejects(writeUsers(join(directory, "none", "users"), new Map()), {
        code: "ERR_USERS",
      });
      await writeFile(`${path}.new`, "left by a crash");
      await writeUsers(path, new Map());
      assert.equal(await readFile(path, "utf8"), "# fieldgate users 1\n# end\n");
    } finally {
      process.umask(before);
      await rm(directory, { recursive: true });
    }
  });
});

describe("a users file that is none", () => {
  it("is refused at once: a pipe, a device that never ends, a directory, one that is too large; nothing waits for it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-users-"));
    const path = join(directory, "users");
    try {
      execFileSync("mkfifo", [join(directory, "pipe")]);
      await writeFile(join(directory, "large"), "#".repeat(4 * 2 ** 20 + 1));
      for (const other of [
        join(directory, "pipe"),
        "/dev/zero",
        directory,
        join(directory, "large"),
      ]) {
        await symlink(other, path);
        await assert.rejects(readUsers(path), { code: "ERR_CONFIG_UNREADABLE" }, other);
        await rm(path);
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("may be a link, and stays one when it is written", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-users-"));
    const [path, target] = [join(directory, "users"), join(directory, "target")];
    try {
      await writeUsers(target, new Map());
      await symlink(target, path);
      await writeUsers(path, parseUsers("# fieldgate users 1\nann:*\n# end\n"));
      assert.equal(await readlink(path), target);
      assert.equal((await readUsers(target)).users.size, 1);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("a users file that changes", () => {
  it("counts from the next look on; half-written, damaged or gone it changes nothing, and is said", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-users-"));
    const path = join(directory, "users");
    let changes = 0;
    const book = new UserBook(
      { read: () => readUsers(path), stamp: () => usersStamp(path) },
      { clock: systemClock, log: silentLog, changed: () => changes++ },
    );
    const now = () => ({ changes, ...book.status(), error: book.status().error !== null });
    try {
      await book.start(3_600_000);
      assert.deepEqual(now(), { changes: 0, users: 0, reloads: 0, error: true });
      await writeUsers(path, parseUsers("# fieldgate users 1\nann:*\nbob:*\n# end\n"));
      await book.look();
      assert.deepEqual(now(), { changes: 1, users: 2, reloads: 0, error: false });
      await book.look();
      assert.equal(changes, 1);
      await truncate(path, 30);
      await book.look();
      assert.deepEqual(now(), { changes: 1, users: 2, reloads: 0, error: true });
      await writeFile(path, "");
      await book.look();
      assert.equal(book.get("ann")?.name, "ann", "an empty file lets nobody out, and nobody in");
      await rm(path);
      await book.look();
      assert.equal(book.get("ann")?.name, "ann");
      await writeUsers(path, parseUsers("# fieldgate users 1\nbob:*\n# end\n"));
      await book.look();
      assert.deepEqual(now(), { changes: 2, users: 1, reloads: 1, error: false });
      assert.equal(book.get("ann"), undefined);
    } finally {
      await book.stop();
      await rm(directory, { recursive: true });
    }
  });
});

function refused(text: string, what: string): FieldgateError {
  try {
    parseUsers(text);
  } catch (error) {
    assert.ok(error instanceof FieldgateError && error.code === "ERR_USERS", what);
    return error;
  }
  assert.fail(`taken: ${what}`);
}
