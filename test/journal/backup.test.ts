import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { backUp } from "../../src/journal/file-backup.ts";
import { type LevelJournal, levelJournal } from "../../src/journal/level-journal.ts";
import { ALL, message, NOW, text } from "../support/journal-samples.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
/** A store of this size has a write buffer of 1 MiB: tables come and go all the time. */
const BYTES_MAX = 2 ** 26;
const PAYLOAD_BYTES = 4096;
const BACKUPS = 6;
const FAR = 2 ** 45;

describe(`a backup of the store (SEED=${SEED})`, () => {
  const random = seededRandom(SEED);
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "fieldgate-backup-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("has everything that was acknowledged before, though the store is written meanwhile", async (t) => {
    const journal = await begin(store());
    const writer = new Writer(journal);
    t.after(() => writer.end());
    const writing = writer.run();
    for (let i = 1; i <= BACKUPS; i++) {
      const enough = (BYTES_MAX / 2 / PAYLOAD_BYTES) * (i / BACKUPS);
      while (writer.durable < enough) await systemClock.sleep(5);
      const before = writer.durable;
      const { path } = await backUp(options(), systemClock);
      const copy = await begin(await restored(path));
      const texts = await textsOf(copy);
      assert.ok(texts.length >= before, `${texts.length} of ${before}, SEED=${SEED}`);
      assert.deepEqual(
        texts,
        Array.from(texts, (_, at) => `${at + 1}`),
      );
      await copy.stop();
    }
    writer.end();
    await writing;
    await journal.stop();
  });

  it("is put back without giving out an identity that the original has given out since", async () => {
    const seen = new Set<string>();
    let given = 0;
    const live = async (path: string, messages: number) => {
      const journal = await begin(path);
      for (let i = 0; i < messages; i++) seen.add(`${journal.id} ${append(journal, `${i}`)}`);
      given += messages;
      await journal.committed();
      const lastSeq = journal.lastSeq;
      await (random() < 0.5 ? journal.stop() : journal.kill());
      return lastSeq;
    };
    await live(store(), 100);
    const { path } = await backUp(options(), systemClock);
    for (const messages of [100, 0, 100]) await live(store(), messages);
    for (let copy = 0; copy < 3; copy++) {
      const place = await restored(path);
      for (const messages of [0, 0, 100, 100]) {
        const lastSeq = await live(place, messages);
        if (messages > 0) assert.ok(lastSeq > FAR, `${lastSeq}, SEED=${SEED}`);
      }
      const { farSeq, before } = await marks(place);
      assert.equal(before, "");
      assert.ok(Number(farSeq) > FAR && Number(farSeq) < 2.1 * FAR, farSeq);
    }
    assert.equal(seen.size, given, `SEED=${SEED}`);
  });

  it("is read across what was left out, and nothing is called missing", async () => {
    const journal = await begin(store());
    append(journal, "1");
    await journal.committed();
    await journal.kill();
    const place = await restored((await backUp(options(), systemClock)).path);
    for (const text of ["2", "3"]) {
      const copy = await begin(place);
      append(copy, text);
      await copy.committed();
      await copy.stop();
    }
    const copy = await begin(place);
    assert.deepEqual(await textsOf(copy), ["1", "2", "3"]);
    assert.equal(copy.figures().missingEntries, 0);
    await copy.stop();
  });

  it("is repaired like any store, though beside it stands where the original had come to", async () => {
    const journal = await begin(store());
    append(journal, "1");
    await journal.committed();
    const { path } = await backUp(options(), systemClock);
    append(journal, "2");
    await journal.stop();
    await rm(join(store(), "journal"), { recursive: true });
    await cp(path, join(store(), "journal"), { recursive: true });
    await writeFile(join(store(), "journal", "CURRENT"), "damaged");
    const copy = await begin(store());
    assert.deepEqual([copy.quarantine, await textsOf(copy)], [null, ["1"]]);
    assert.ok(append(copy, "3") > FAR);
    await copy.stop();
  });

  it("keeps the newest, and leaves alone what is no backup", async () => {
    const journal = await begin(store());
    await mkdir(join(folder, "backups", "mine"), { recursive: true });
    const made: string[] = [];
    for (let i = 0; i < 4; i++) made.push((await backUp(options(2), systemClock)).path);
    const names = await readdir(join(folder, "backups"));
    const newest = made.slice(-2).map((path) => path.slice(path.lastIndexOf("/") + 1));
    assert.deepEqual(names.sort(), [...newest, "mine"].sort());
    await journal.stop();
  });

  it("shares its tables with the store, and survives that the store drops them", async (t) => {
    const journal = await begin(store());
    const writer = new Writer(journal);
    t.after(() => writer.end());
    const writing = writer.run();
    while (writer.durable < BYTES_MAX / 4 / PAYLOAD_BYTES) await systemClock.sleep(5);
    writer.end();
    await writing;
    const { path, linked } = await backUp(options(), systemClock);
    assert.ok(linked > 0, "no table was linked");
    await journal.stop();
    await rm(join(store(), "journal"), { recursive: true });
    const copy = await begin(await restored(path));
    assert.equal((await textsOf(copy)).length, writer.durable);
    await copy.stop();
  });

  it("says that there is nothing to copy, and leaves no half of one", async () => {
    const nowhere = backUp(options(), systemClock);
    await assert.rejects(nowhere, { code: "ERR_BACKUP", message: /no such file or directory/ });
    await mkdir(join(store(), "journal"), { recursive: true });
    await writeFile(join(store(), "journal", "000005.ldb"), "x");
    await assert.rejects(backUp(options(), systemClock), { code: "ERR_BACKUP" });
    assert.deepEqual(await readdir(join(folder, "backups")), []);
  });

  const store = () => join(folder, "store");
  const options = (keep = 10) => ({
    journal: join(store(), "journal"),
    to: join(folder, "backups"),
    keep,
  });
  let copies = 0;
  /** As docs/service.md has it: the copy becomes the directory `journal` of a store. */
  const restored = async (path: string) => {
    const place = join(folder, `restored-${copies++}`);
    await cp(path, join(place, "journal"), { recursive: true });
    return place;
  };
  const marks = async (place: string) => ({
    farSeq: await readFile(join(place, "journal", "COPIED"), "utf8"),
    before: await readFile(join(await onlyBackup(), "COPIED"), "utf8"),
  });
  const onlyBackup = async () =>
    join(folder, "backups", (await readdir(join(folder, "backups")))[0] ?? "");
  const begin = async (path: string) => {
    const tools = { clock: systemClock, log: silentLog, random };
    const journal = levelJournal({ path, bytesMax: BYTES_MAX, durability: "local" }, tools);
    await journal.start(new AbortController().signal);
    journal.cursor("c"); // nothing is trimmed that it has not passed
    return journal;
  };
});

function append(journal: LevelJournal, payload: string): number {
  return journal.append(message("t", payload), 1, NOW, []);
}

async function textsOf(journal: LevelJournal): Promise<string[]> {
  const found: string[] = [];
  for (let seq = 0; ; ) {
    const { entries } = await journal.read(seq, ALL);
    if (entries.length === 0) return found;
    found.push(...entries.map((entry) => text(entry).split(" ")[0] ?? ""));
    seq = entries.at(-1)?.seq ?? seq;
  }
}

/** Appends messages that do not compress, numbered from 1, until it is told to end. */
class Writer {
  /** Messages that are durable. */
  durable = 0;
  readonly #journal: LevelJournal;
  #isEnded = false;

  constructor(journal: LevelJournal) {
    this.#journal = journal;
  }

  async run(): Promise<void> {
    for (let count = 0; !this.#isEnded; this.durable = count) {
      for (let i = 0; i < 8; i++) {
        const noise = randomBytes((PAYLOAD_BYTES * 3) / 4).toString("base64");
        append(this.#journal, `${++count} ${noise}`);
      }
      await this.#journal.committed();
    }
  }

  end(): void {
    this.#isEnded = true;
  }
}
