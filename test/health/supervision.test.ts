import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { type Log, silentLog } from "../../src/base/log.ts";
import { openNotifySocket } from "../../src/health/koffi-notify.ts";
import { statusLine } from "../../src/health/status-line.ts";
import { Supervision, supervisionOptions } from "../../src/health/supervision.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const WATCHDOG_MS = 60_000;
const TURN_MS = WATCHDOG_MS / 4;

describe("supervision by systemd", () => {
  it("says that it is ready, what it does, that it lives, and that it ends", async () => {
    await check(
      async ({ clock, journal, supervision }) => {
        await clock.run(TURN_MS);
        journal.status = "primary, uplink connected";
        await clock.run(2 * TURN_MS);
        await supervision.stop();
        await clock.run(10 * TURN_MS);
      },
      [
        "READY=1\nSTATUS=at rest",
        "WATCHDOG=1",
        "STATUS=primary, uplink connected",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
      ],
    );
  });

  it("makes a commit of its own only where nobody has written since the last beat", async () => {
    await check(
      async ({ clock, journal }) => {
        for (let turn = 1; turn <= 3; turn++) {
          journal.committed();
          await clock.run(turn * TURN_MS);
        }
        assert.equal(journal.probes, 0);
        await clock.run(4 * TURN_MS);
        assert.equal(journal.probes, 1);
      },
      ["READY=1\nSTATUS=at rest", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"],
    );
  });

  it("falls silent while the disk does not answer, and lives again when it does", async () => {
    await check(
      async ({ clock, journal, told }) => {
        journal.hangs = true;
        await clock.run(8 * TURN_MS);
        assert.deepEqual(told, ["READY=1\nSTATUS=at rest"]);
        assert.equal(journal.probes, 1, "one commit waits, not one more each turn");
        journal.hangs = false;
        journal.committed();
        await clock.run(9 * TURN_MS);
      },
      ["READY=1\nSTATUS=at rest", "WATCHDOG=1", "WATCHDOG=1"],
    );
  });

  it("lives while a failed store is tried again, and not when the attempt does not end", async () => {
    await check(
      async ({ clock, journal, told }) => {
        journal.hangs = true;
        for (let turn = 1; turn <= 3; turn++) {
          journal.retryAtMs = turn * TURN_MS + 1000;
          await clock.run(turn * TURN_MS);
        }
        assert.equal(told.length, 4);
        await clock.run(10 * TURN_MS);
      },
      // The last attempt was due in the fourth turn.
      ["READY=1\nSTATUS=at rest", ...new Array(4).fill("WATCHDOG=1")],
    );
  });

  it("takes a refusal of the journal for an answer", async () => {
    await check(
      async ({ clock, journal }) => {
        journal.refuses = true;
        await clock.run(TURN_MS);
      },
      ["READY=1\nSTATUS=at rest", "WATCHDOG=1"],
    );
  });

  it("goes on when nobody takes what it says, and logs it once", async () => {
    const lines: string[] = [];
    const log: Log = { ...silentLog, warn: (line) => lines.push(line) };
    const clock = new SimClock();
    const send = () => {
      throw new Error("nobody there");
    };
    const supervision = supervisionWith(clock, new FakeJournal(), send, log);
    await supervision.start();
    await clock.run(5 * TURN_MS);
    await supervision.stop();
    assert.deepEqual(lines, ["systemd was not reached"]);
  });

  it("knows from its environment whether anybody watches", () => {
    const socket = "/run/systemd/notify";
    assert.equal(supervisionOptions({}, 7), null);
    assert.deepEqual(supervisionOptions({ NOTIFY_SOCKET: socket }, 7), {
      socket,
      watchdogMs: null,
    });
    const watched = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" };
    assert.equal(supervisionOptions(watched, 7)?.watchdogMs, WATCHDOG_MS);
    assert.equal(supervisionOptions(watched, 8)?.watchdogMs, null, "meant for another process");
  });

  it("has one line for the status, whatever the disk says", () => {
    const sources = {
      journal: { state: "failed", error: "Input/output\nerror" },
      broker: { connections: 3 },
      cluster: { role: "primary" },
      uplink: { state: "connected" },
      ledger: { alarm: { queued: 1 }, bulk: { queued: 4 } },
    };
    assert.equal(
      statusLine(sources),
      "store failed: Input/output error, primary, uplink connected, 5 queued, 3 clients",
    );
  });
});

describe("a word to systemd", () => {
  it("reaches a socket in the file system", async (t) => {
    const path = join(await directory(t), "notify");
    await checkReceived(t, path, ["socat", "-u", `UNIX-RECV:${path}`, "-"]);
  });

  it("reaches an abstract socket", async (t) => {
    const name = `fieldgate-test-${process.pid}`;
    await checkReceived(t, `@${name}`, ["socat", "-u", `ABSTRACT-RECV:${name}`, "-"]);
  });

  it("is refused where nobody listens, and to what is no path", async (t) => {
    const path = join(await directory(t), "nobody");
    const socket = await openNotifySocket(path);
    assert.throws(() => socket.send("READY=1"), /nothing was taken by .*nobody: errno 2/);
    socket.close();
    await assert.rejects(openNotifySocket("notify"), /no path of a socket/);
    await assert.rejects(openNotifySocket(`/${"x".repeat(107)}`), /no path of a socket/);
  });
});

/** A journal that commits when it is told to, or whenever it is asked. */
class FakeJournal {
  hangs = false;
  refuses = false;
  retryAtMs: number | null = null;
  status = "at rest";
  probes = 0;
  committed: () => void = () => {};

  onCommit(listener: () => void): () => void {
    this.committed = listener;
    return () => {
      this.committed = () => {};
    };
  }

  async commit(): Promise<void> {
    this.probes++;
    if (this.refuses) throw new Error("the store is full");
    if (this.hangs) return new Promise(() => {});
    this.committed();
  }
}

function supervisionWith(
  clock: SimClock,
  journal: FakeJournal,
  send: (text: string) => void,
  log: Log = silentLog,
): Supervision {
  const open = async () => ({ send, close() {} });
  const status = () => journal.status;
  return new Supervision(
    { socket: "/run/systemd/notify", watchdogMs: WATCHDOG_MS },
    { clock, log, open, heart: journal, status },
  );
}

/** What systemd is told while `script` runs. */
async function check(
  script: (parts: {
    clock: SimClock;
    journal: FakeJournal;
    supervision: Supervision;
    told: readonly string[];
  }) => Promise<void>,
  expected: readonly string[],
): Promise<void> {
  const clock = new SimClock();
  const journal = new FakeJournal();
  const told: string[] = [];
  const supervision = supervisionWith(clock, journal, (text) => told.push(text));
  await supervision.start();
  await script({ clock, journal, supervision, told });
  assert.deepEqual(told, expected);
}

async function checkReceived(t: TestContext, path: string, argv: readonly string[]) {
  const [program = "", ...rest] = argv;
  const receiver: ChildProcess = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => receiver.kill());
  await once(receiver, "spawn");
  let received = "";
  receiver.stdout?.on("data", (bytes) => {
    received += bytes;
  });
  const socket = await openNotifySocket(path);
  // socat listens soon, not at once.
  await until("socat listens", async () => {
    if (!path.startsWith("@")) return stat(path).then(Boolean, () => false);
    return sent(() => socket.send("READY=1\n"));
  });
  socket.send("WATCHDOG=1\n");
  await until("it was received", () => received.endsWith("WATCHDOG=1\n"));
  socket.close();
}

function sent(send: () => void): boolean {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-notify-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
