import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import packet, { type Packet } from "mqtt-packet";
import { type Deed, readTrace, SyscallTrace } from "../powercut/syscall-trace.ts";
import { ack, publish, retained } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";

const MESSAGES = 20;
const TWO = 1000;
const WILL = "marker-of-the-will";
const FILTER = "marker-of-the-filter/+";

describe("what the gateway does, seen from the kernel", () => {
  it("writes no PUBACK, PUBREC, SUBACK, or CONNACK of a will before the sync that covers it", (t) =>
    check(t, "local", (found) => {
      assert.deepEqual(found.early, []);
      assert.equal(found.covered, 2 * MESSAGES + 2);
    }));

  it("does so under `durability: fast`, which shows that this would be seen", (t) =>
    check(t, "fast", (found) => assert.equal(found.early.length, 2 * MESSAGES + 2)));

  it("is read from traces whose lines are torn apart", () => {
    const log = String.raw`<\x2f\x61\x2e\x6c\x6f\x67>`;
    const deeds = readTrace(
      [
        String.raw`10 write(20${log}, "\x61\x62", 2 <unfinished ...>`,
        String.raw`11 writev(25<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="\x40\x02", iov_len=2}, {iov_base="\x00\x01", iov_len=2}], 2) = 4`,
        "10 <... write resumed>) = 2",
        `10 fdatasync(20${log} <unfinished ...>`,
        String.raw`11 write(17<\x70\x69\x70\x65>, "\x01", 1) = -1 EAGAIN (Resource temporarily unavailable)`,
        "10 <... fdatasync resumed>) = 0",
        "10 +++ exited with 0 +++",
      ].join("\n"),
    );
    assert.deepEqual(
      deeds.map((deed) => [deed.to, deed.to === "sync" ? "" : deed.bytes.toString("latin1")]),
      [
        ["socket", "@\x02\x00\x01"],
        ["file", "ab"],
        ["sync", ""],
      ],
    );
  });
});

interface Found {
  /** Acknowledgements that left before what they acknowledge was synced. */
  readonly early: readonly string[];
  readonly covered: number;
}

async function check(
  t: TestContext,
  durability: "local" | "fast",
  expect: (found: Found) => void,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-strace-"));
  const program = new Program(join(directory, "fieldgate.json"));
  try {
    const config = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store"), durability },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket: join(directory, "control.sock") },
    };
    await writeFile(join(directory, "fieldgate.json"), JSON.stringify(config));
    const port = await program.start();
    const trace = await SyscallTrace.on(program.pid, join(directory, "trace"));
    if (typeof trace === "string") {
      t.skip(`processes cannot be traced here: ${trace}`);
      return;
    }
    await converse(port);
    await program.terminate();
    expect(correlate(await trace.ended()));
  } finally {
    await program.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

/** All that is acknowledged bears a mark that can be found in the store's log. */
async function converse(port: number): Promise<void> {
  const will = { topic: "will", payload: Buffer.from(WILL), qos: 1 as const, retain: false };
  const client = await RawClient.connected(port, { clientId: "keeper", clean: false, will });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: FILTER, qos: 1 }] });
  await client.next("suback");
  for (let n = 0; n < MESSAGES; n += 4) {
    const some = [n, n + 1, n + 2, n + 3];
    const ones = some.map((k) =>
      (k % 4 === 0 ? retained : publish)("a", markOf("one", k), 1, 1 + k),
    );
    client.send(...ones, ...some.map((k) => publish("b", markOf("two", k), 2, TWO + k)));
    for (const _ of some) client.send(ack("pubrel", (await client.next("pubrec")).messageId));
    for (const _ of some) await client.next("pubcomp");
  }
  client.send({ cmd: "disconnect" });
  await client.ended();
}

function markOf(kind: "one" | "two", n: number): string {
  return `marker-${kind}-${String(n).padStart(3, "0")}`;
}

/** Goes through the deeds and asks of each acknowledgement whether its mark was in the log, and the log synced. */
function correlate(deeds: readonly Deed[]): Found {
  let written = "";
  let synced = "";
  const early: string[] = [];
  let covered = 0;
  const parser = packet.parser();
  parser.on("packet", (came) => {
    const id = came.messageId ?? 0;
    const mark = markBehind(came.cmd, id);
    if (mark === null) return;
    if (synced.includes(mark)) covered++;
    else early.push(`${came.cmd} ${id}, ${written.includes(mark) ? "written" : "not written"}`);
  });
  for (const deed of deeds) {
    if (deed.to === "socket") parser.parse(deed.bytes);
    else if (!/\/\d+\.log$/.test(deed.name)) continue;
    else if (deed.to === "sync") synced = written;
    else written += deed.bytes.toString("latin1");
  }
  return { early, covered };
}

/** What is acknowledged by that packet; null when it acknowledges nothing that must be kept. */
function markBehind(cmd: Packet["cmd"], id: number): string | null {
  switch (cmd) {
    case "connack":
      return WILL;
    case "suback":
      return FILTER;
    case "puback":
      return markOf("one", id - 1);
    case "pubrec":
      return markOf("two", id - TWO);
    default:
      return null;
  }
}
