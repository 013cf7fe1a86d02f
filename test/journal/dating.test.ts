import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { ageMs, type ClockQuality, datedMs, type Timepiece } from "../../src/base/timepiece.ts";
import type { Entry } from "../../src/journal/journal.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import { message, NOW } from "../support/journal-samples.ts";

const FIRST = "a".repeat(32);
const SECOND = "b".repeat(32);
const YEAR_MS = 31_536_000_000;
const ALL = { messagesMax: 100, bytesMax: 2 ** 20 };

describe("the dates of entries", () => {
  it("are corrected by the difference when the clock becomes synchronised", async () => {
    const machine = new Machine(FIRST);
    const journal = await machine.journal();
    machine.pass(5000);
    await machine.accept(journal, "early");
    machine.pass(1000);
    machine.set(NOW, "synchronised");
    await machine.accept(journal, "late");
    const [early, late] = await read(journal);
    check(early, NOW - 1000, "redated");
    check(late, NOW, "synchronised");
    assert.equal(early.wallMs, 5000, "what it was accepted with stays");
    await journal.stop();
  });

  it("stay as they are while nobody knows better", async () => {
    const machine = new Machine(FIRST);
    const journal = await machine.journal();
    machine.pass(5000);
    await machine.accept(journal, "early");
    const [early] = await read(journal);
    check(early, 5000, "unset");
    assert.deepEqual([early.time?.bootId, early.time?.bootMs(early.wallMs)], [FIRST, 5000]);
    await journal.stop();
  });

  it("are corrected also of what was read before the clock was set", async () => {
    const machine = new Machine(FIRST);
    const journal = await machine.journal();
    await machine.accept(journal, "early");
    const [early] = await read(journal);
    machine.pass(3000);
    machine.set(NOW, "synchronised");
    check(early, NOW - 3000, "redated");
    await journal.stop();
  });

  it("are corrected after the machine was started again, by what the former run found out", async () => {
    const before = new Machine(FIRST);
    const journal = await before.journal();
    await before.accept(journal, "early");
    before.pass(2000);
    before.set(NOW, "synchronised");
    journal.clockChanged();
    await journal.committed();
    const after = new Machine(SECOND);
    const reopened = await after.reopened(await journal.crash());
    const [early] = await read(reopened);
    check(early, NOW - 2000, "redated");
    await reopened.stop();
  });

  it("of a run that never knew the time stay as they are, whatever a later run knows", async () => {
    const before = new Machine(FIRST);
    const journal = await before.journal();
    before.pass(1234);
    await before.accept(journal, "early");
    const after = new Machine(SECOND);
    const reopened = await after.reopened(await journal.crash());
    after.set(NOW, "synchronised");
    const [early] = await read(reopened);
    check(early, 1234, "unset");
    assert.equal(early.time?.ageMs(early.wallMs), null, "how old it is nobody knows");
    await reopened.stop();
  });

  it("are not mixed up when the clock is set between two entries of a commit", async () => {
    const machine = new Machine(FIRST);
    const journal = await machine.journal();
    machine.append(journal, "before");
    machine.set(NOW, "unset");
    machine.append(journal, "after");
    await journal.committed();
    machine.pass(1000);
    machine.set(NOW + 1000, "synchronised");
    const [before, after] = await read(journal);
    check(before, NOW, "redated");
    check(after, NOW, "redated");
    await journal.stop();
  });

  it("of a copy are corrected by a block that the origin wrote when it knew the time", async () => {
    const origin = new Machine(FIRST);
    const journal = await origin.journal();
    await origin.accept(journal, "early");
    const copy = memoryJournal({ id: journal.id }, TOOLS);
    await copy.start(new AbortController().signal);
    const ship = async () => {
      const { entries } = await journal.copies.read(copy.lastSeq, 2 ** 20);
      for (const { value } of entries) copy.copies.take(value);
      await copy.committed();
    };
    await ship();
    check((await read(copy))[0], 0, "unset");
    origin.pass(4000);
    origin.set(NOW, "synchronised");
    await origin.accept(journal, "late");
    await ship();
    check((await read(copy))[0], NOW - 4000, "redated");
    const again = (await copy.crash()) as MemoryJournal;
    await again.start(new AbortController().signal);
    check((await read(again))[0], NOW - 4000, "redated");
    await again.stop();
    await journal.stop();
  });

  it("say the age by the monotonic clock, however the wall clock is set", async () => {
    const machine = new Machine(FIRST);
    machine.set(NOW, "synchronised");
    const journal = await machine.journal();
    await machine.accept(journal, "x");
    machine.pass(60_000);
    machine.set(NOW + YEAR_MS, "free-running");
    const [entry] = await read(journal);
    assert.equal(ageMs(entry, machine.clock), 60_000);
    await journal.stop();
  });

  it("remember the last 64 runs of the machine", async () => {
    let journal: MemoryJournal | null = null;
    for (let run = 0; run < 70; run++) {
      const machine = new Machine(run.toString(16).padStart(32, "0"));
      journal = journal === null ? await machine.journal() : await machine.reopened(journal);
      machine.set(NOW + run * 60_000, "synchronised");
      await machine.accept(journal, "x");
      if (run < 69) {
        await journal.stop();
        journal = journal.reopened();
      }
    }
    assert.ok(journal !== null);
    await journal.committed();
    const known: string[] = [];
    for await (const [bootId] of journal.rows("boots").entries({})) known.push(bootId);
    assert.equal(known.length, 64);
    assert.equal(known[0], (6).toString(16).padStart(32, "0"), "the oldest go");
    await journal.stop();
  });
});

const TOOLS = { clock: systemClock, log: silentLog, random: () => 0 };

/** A machine whose wall clock begins at 1970, with nobody to set it. */
class Machine {
  readonly bootId: string;
  #bootMs = 0;
  #wallMs = 0;
  #quality: ClockQuality = "unset";

  constructor(bootId: string) {
    this.bootId = bootId;
  }

  get clock() {
    return { ...systemClock, wallMs: () => this.#wallMs };
  }

  pass(ms: number): void {
    this.#bootMs += ms;
    this.#wallMs += ms;
  }

  set(wallMs: number, quality: ClockQuality): void {
    this.#wallMs = wallMs;
    this.#quality = quality;
  }

  async journal(): Promise<MemoryJournal> {
    const made = memoryJournal({}, this.#tools());
    await made.start(new AbortController().signal);
    return made;
  }

  /** The store of a journal that ended, in this machine. */
  async reopened(ended: MemoryJournal): Promise<MemoryJournal> {
    const made = ended.reopened(this.#tools());
    await made.start(new AbortController().signal);
    return made;
  }

  append(journal: MemoryJournal, text: string): void {
    journal.append(message("t", text), 1, this.#wallMs, []);
  }

  async accept(journal: MemoryJournal, text: string): Promise<void> {
    this.append(journal, text);
    await journal.committed();
  }

  #tools() {
    const timepiece: Timepiece = {
      bootId: this.bootId,
      bootMs: () => this.#bootMs,
      quality: () => this.#quality,
    };
    return { ...TOOLS, clock: this.clock, timepiece };
  }
}

async function read(journal: MemoryJournal): Promise<[Entry, Entry]> {
  journal.cursor("keeps");
  const { entries } = await journal.read(0, ALL);
  return entries as unknown as [Entry, Entry];
}

function check(entry: Entry, atMs: number, quality: string): void {
  assert.deepEqual([datedMs(entry), entry.time?.quality()], [atMs, quality]);
}
