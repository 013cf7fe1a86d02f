import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { tell } from "../../src/control/control-client.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen, fieldgate, Going, type Said } from "../support/screens.ts";

describe("a technician at a running gateway", () => {
  let directory: string;
  let file: string;
  let socket: string;
  let gateway: Program;
  let port: number;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-technician-"));
    socket = join(directory, "control.sock");
    file = join(directory, "fieldgate.yaml");
    const config = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket },
      uplink: {
        endpoints: ["mqtt://127.0.0.1:1"],
        rules: [{ match: "plant/#", lane: "telemetry" }],
      },
    };
    await writeFile(file, JSON.stringify(config));
    gateway = new Program(file);
    port = await gateway.start();
  });

  after(async () => {
    await gateway.terminate();
    await rm(directory, { recursive: true, force: true });
  });

  const asked = (...argv: string[]): Promise<Said> => fieldgate(...argv, "--socket", socket);

  it("publishes, and is told who gets it and whether it is kept", async () => {
    const { code, out } = await asked("pub", "plant/oven", "180", "--retain");
    assert.equal(code, 0);
    assertScreen("pub", out);
    const unkept = await asked("pub", "elsewhere", "x", "--qos", "0", "--json");
    assert.deepEqual(JSON.parse(unkept.out), {
      topic: "elsewhere",
      subscribers: 0,
      lane: null,
      kept: false,
    });
  });

  it("is refused what nobody may publish", async () => {
    for (const topic of ["a/#", "$SYS/uptime", ""]) {
      const { code, err } = await asked("pub", topic, "x");
      assert.deepEqual([code, /ERR_TOPIC/.test(err)], [2, true], `${topic}: ${err}`);
    }
    assert.match((await asked("pub", "a", "b", "c")).err, /ERR_USAGE/);
    assert.match((await asked("pub", "a", "b", "--qos", "3")).err, /ERR_USAGE/);
  });

  it("has nothing done by a question that is not quite right", async () => {
    for (const [name, body] of [
      ["publish", { topic: "a", text: { x: 1 } }],
      ["publish", { topic: "a", base64: "%%%" }],
      ["publish", { topic: "a", text: "x", base64: "eA==" }],
      ["publish", { topic: "a", text: "x", retain: "yes" }],
      ["queue/drop", { lane: "telemetry", confirm: true, count: 0 }],
      ["queue/drop", { lane: "telemetry", confirm: true, count: "5" }],
      ["queue/drop", { lane: "telemetry", confirm: true, count: null }],
      ["site/hand-over", { to: 5 }],
    ] as const) {
      const said = JSON.stringify(body);
      await assert.rejects(tell(socket, name, body), { code: "ERR_USAGE" }, `${name} ${said}`);
    }
  });

  it("sees what is retained", async () => {
    await asked("pub", "plant/oven", "180", "--retain");
    const { code, out } = await asked("retained");
    assert.equal(code, 0);
    assertScreen("retained", out);
    assert.equal((await asked("retained", "nowhere/#")).out, "nothing is retained there\n");
    assert.match((await asked("retained", "a/#/b")).err, /ERR_TOPIC/);
    await asked("pub", "plant/oven", "--retain");
    assert.equal((await asked("retained", "plant/#")).out, "nothing is retained there\n");
  });

  it("sees messages as they come, decoded, from whoever sends them", async () => {
    const tail = new Going("tail", "plant/#", "--count", "3", "--bytes", "20", "--socket", socket);
    await tail.says(/listening to plant/);
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    const blob = Buffer.from([0, 1, 2, 255]);
    client.send(
      { cmd: "publish", topic: "elsewhere", payload: "x", qos: 0, retain: false, dup: false },
      { cmd: "publish", topic: "plant/blob", payload: blob, qos: 0, retain: false, dup: false },
    );
    await client.settled();
    client.drop();
    await asked("pub", "plant/oven", "0123456789".repeat(5));
    await asked("pub", "plant/oven", '{"°C": 180}', "--retain");
    assert.equal(await tail.ended(), 0);
    assertScreen("tail", tail.out);
  });

  it("ends a tail by Ctrl-C, and is told when there is no such filter", async () => {
    const tail = new Going("tail", "--socket", socket);
    await tail.says(/listening to #/);
    assert.equal(await tail.interrupt(), 0);
    const piped = new Going("tail", "--socket", socket);
    await piped.says(/listening to #/);
    piped.readNoFurther();
    await asked("pub", "plant/oven", "1");
    assert.equal(await piped.ended(), 0, "as in `fieldgate tail | head`");
    assert.equal(piped.err, "listening to #; Ctrl-C ends\n");
    assert.match((await asked("tail", "a/#/b")).err, /ERR_TOPIC/);
    assert.match((await asked("tail", "--count", "0")).err, /ERR_USAGE/);
  });

  it("looks into the queue, holds a lane, and gives up what waits only when it is confirmed", async () => {
    for (const degrees of [179, 180, 181]) await asked("pub", "plant/oven", String(degrees));
    assertScreen("queue", settled((await asked("queue")).out));
    assertScreen("queue", settled((await asked("queue", "show")).out));
    const peeked = await asked("queue", "peek", "telemetry", "--count", "2");
    assert.equal(peeked.code, 0);
    assertScreen("queue-peek", peeked.out);
    assert.equal((await asked("queue", "peek", "alarm")).out, "nothing waits\n");
    assertScreen("queue-pause", (await asked("queue", "pause", "telemetry")).out);
    assert.match(
      (await asked("status")).out,
      /! lane telemetry is paused by an operator: \d+ wait/,
    );
    assertScreen("queue-resume", (await asked("queue", "resume", "telemetry")).out);
    const unsure = await asked("queue", "drop", "telemetry", "--count", "2");
    assert.deepEqual(
      [unsure.code, /^lane telemetry: 2 messages would be/.test(unsure.out)],
      [1, true],
    );
    const sure = await asked("queue", "drop", "telemetry", "--count", "2", "--confirm");
    assert.equal(sure.code, 0);
    assertScreen("queue-drop", sure.out);
    const { ledger } = JSON.parse((await asked("status", "--json")).out);
    assert.ok(ledger.telemetry.dropped.operator >= 2);
    assert.equal((await asked("ledger")).code, 0, "the books balance");
  });

  it("is told of lanes that do not exist", async () => {
    for (const action of ["peek", "pause", "resume"]) {
      assert.match((await asked("queue", action, "fast")).err, /ERR_NOT_THERE/);
    }
    assert.match((await asked("queue", "drop", "fast", "--confirm")).err, /ERR_NOT_THERE/);
    assert.match((await asked("queue", "fly", "bulk")).err, /ERR_USAGE/);
  });

  it("has on one screen what the gateway does", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    const { code, out } = await asked("status");
    client.drop();
    assert.equal(code, 1, "the cloud is not there");
    assert.match(out, /^ {2}! uplink (waiting|connecting)/m);
    assertScreen("status", settled(out));
    assertScreen("ledger", (await asked("ledger")).out);
    assertScreen("site", (await asked("site")).out);
    assertScreen("site", (await asked("site", "status")).out);
  });

  it("sees how the uplink gets on, and where the way to the cloud ends", async () => {
    const { code, out } = await asked("uplink");
    assert.equal(code, 1);
    assert.match(out, /^ {2}! uplink (waiting|connecting)/m);
    assertScreen("uplink", settled(out));
    assertScreen("uplink", settled((await asked("uplink", "status")).out));
    const walked = await fieldgate("uplink", "test", "--config", file);
    assert.equal(walked.code, 2);
    assertScreen("uplink-test", walked.out);
    assert.match((await asked("uplink", "fly")).err, /ERR_USAGE/);
  });

  it("sees where the messages of a topic go by the rules that the gateway runs with, and why", async () => {
    const { code, out } = await fieldgate("uplink", "route", "plant/oven", "--config", file);
    assert.equal(code, 0);
    assertScreen("uplink-route", out);
    assert.equal((await asked("uplink", "route", "plant/oven")).out, out);
    assert.equal((await asked("uplink", "route", "elsewhere")).code, 1);
  });

  it("has in doctor every check, a line each, and the reason why below", async () => {
    const argv = ["doctor", "--config", file];
    const { code, out } = await fieldgate(...argv);
    assert.equal(code, 2, out);
    // What the machine is like that tests is not the gateway's doing.
    const ours = out
      .replace(
        /^(?:ok|!!|!|\?) +(?:clock|machine|store\.(?:filesystem|latency|space))\S* .*\n(?: .*\n)*/gm,
        "",
      )
      .replace(/^\d+ checked: .*/m, "")
      .replace(/running for .*,/, "running for a while,")
      .replace(/uplink (?:waiting|connecting): .*/, "uplink waiting")
      .replace(/^ +uplink tries .* less often.*\n/m, "");
    assertScreen("doctor", ours);
    const { exit, findings } = JSON.parse((await fieldgate(...argv, "--json")).out);
    assert.equal(exit, code);
    const lines = out.split("\n").filter((line) => /^(?:ok|!!|!|\?) /.test(line));
    assert.equal(findings.length, lines.length);
    assert.equal(new Set(findings.map(({ id }: { id: string }) => id)).size, lines.length);
  });

  it("shows a configuration with its defaults, and no secret of it", async () => {
    const secret = join(directory, "secret.yaml");
    const uplink = { endpoints: ["mqtts://gw:hush-hush@cloud:8883"] };
    await writeFile(secret, JSON.stringify({ uplink }));
    const { code, out } = await fieldgate("config", "show", "--config", secret);
    assert.equal(code, 0);
    assert.doesNotMatch(out, /hush/);
    assertScreen("config-show", out.slice(out.indexOf("uplink:"), out.indexOf("  rules:")));
    assertScreen("config-check", (await fieldgate("config", "check", "--config", secret)).out);
  });

  it("walks the whole way to a cloud that is there, beside the gateway", async () => {
    const cloud = await startMosquitto({ config: [] });
    try {
      const there = join(directory, "there.yaml");
      const uplink = { endpoints: [`mqtt://127.0.0.1:${cloud.port}`] };
      await writeFile(there, JSON.stringify({ uplink }));
      const { code, out } = await fieldgate("uplink", "test", "--config", there);
      assert.equal(code, 0, out);
      assertScreen("uplink-test-well", out);
    } finally {
      await cloud.end();
    }
  });

  it("copies the store while it runs", async () => {
    const { code, out } = await fieldgate(
      "backup",
      "--config",
      file,
      "--to",
      join(directory, "copies"),
    );
    assert.equal(code, 0);
    assertScreen("backup", out.replace(/T\d\d-\d\d-\d\d-\d{3}Z/, "TIME"));
  });

  it("watches it at work", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    const { code, out } = await asked("top", "--count", "1");
    assert.equal(code, 0);
    assertScreen("top", settled(out));
    const { out: lines } = await asked("top", "--count", "2", "--every", "1", "--json");
    client.drop();
    const [first, second] = lines
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(first.acceptedPerSecond, null, "one look tells no rate");
    assert.ok(second.acceptedPerSecond >= 0);
    assert.equal(second.clients[0].clientId, "sensor-1");
  });

  it("watches it on a terminal, in colours, and gives the terminal back at the end", () => {
    const top = `${process.execPath} dist/fieldgate.js top --count 2 --every 1 --socket ${socket}`;
    const env = { ...process.env, TERM: "xterm", NO_COLOR: "" };
    const argv = ["-qefc", top, "/dev/null"];
    const seen = spawnSync("script", argv, { env, encoding: "utf8", input: "" }).stdout;
    assert.ok(seen.includes("\u001b[?1049h") && seen.trimEnd().endsWith("\u001b[?1049l"), seen);
    assert.equal(seen.split("\u001b[H\u001b[J").length, 3, "two screens");
    assert.ok(seen.includes("\u001b[33m"), "what wants attention is yellow");
    const bare = spawnSync("script", argv, { env: { ...env, NO_COLOR: "1" }, encoding: "utf8" });
    assert.ok(!bare.stdout.includes("\u001b[33m"), "NO_COLOR");
  });

  it("sees what the clock is worth, and sets it only as root, in UTC, where no time server does", async () => {
    for (const words of [["time"], ["time", "status"]]) {
      const { code, out } = await asked(...words);
      assert.ok([0, 1, 3].includes(code));
      assertScreen(
        "time",
        out.replace(/^( {2}(?:time|synchronised|battery clock|gateway)) .*$/gm, "$1"),
      );
    }
    // The clock of the machine that tests is not the test's to set: date and hwclock are recorded instead.
    const programs = join(directory, "bin");
    await mkdir(programs);
    const log = join(directory, "set.log");
    for (const name of ["date", "hwclock"]) {
      const script = `#!/bin/sh\necho "${name} $*" >> ${log}\n`;
      await writeFile(join(programs, name), script, { mode: 0o755 });
    }
    const path = process.env["PATH"];
    const set = async (...argv: string[]) => {
      process.env["PATH"] = `${programs}:${path}`;
      const said = asked("time", "set", ...argv, "--force");
      process.env["PATH"] = path;
      return said;
    };
    const dry = (await set("2026-11-22T08:30", "--dry-run")).out;
    assert.match(dry, /^would set the clock to 2026-11-22 08:30:00 UTC/);
    assertScreen("time-set", dry);
    assert.equal(existsSync(log), false);
    const done = await set("2026-11-22T08:30:15Z");
    assert.equal(done.code, 0, done.err);
    assert.equal(readFileSync(log, "utf8"), "date -u -s @1795336215\nhwclock --systohc --utc\n");
    for (const wrong of [
      "noon",
      "2026-13-01T00:00",
      "2026-11-22 08:30",
      "2026-11-22T08:30+02:00",
    ]) {
      assert.match((await set(wrong)).err, /ERR_USAGE/, wrong);
    }
  });

  it("has a terminal that no message, topic or client id moves, whatever they hold", async () => {
    const evil = "\u001b[2J\u009b31m\u202e\r\n  ! store failed";
    const tail = new Going("tail", "--count", "2", "--socket", socket);
    await tail.says(/listening to #/);
    const client = await RawClient.connected(port, { clientId: evil });
    const topic = `plant/${evil}`;
    const message = { cmd: "publish", qos: 1, dup: false, retain: true, topic } as const;
    client.send({ ...message, messageId: 1, payload: evil });
    await client.next("puback");
    client.send({ ...message, messageId: 2, payload: "\u009b2Jx\r\ny" });
    await client.next("puback");
    assert.equal(await tail.ended(), 0);
    const seen = [tail.out];
    const waiting = ["queue", "peek", "telemetry"];
    for (const argv of [["clients"], ["retained"], ["clients", "--json"], ["status"], waiting]) {
      seen.push((await asked(...argv)).out);
    }
    assert.match(
      seen.join(""),
      /plant\/\\u001b\[2J\\u009b31m\\u202e\\u000d\\u000a {2}! store failed/,
    );
    assert.deepEqual(
      seen.filter((each) => /[^\n\P{C}]/u.test(each)),
      [],
    );
    assert.deepEqual(
      seen.filter((each) => /^ {2}! store failed/m.test(each)),
      [],
    );
    client.send({ ...message, messageId: 3, payload: "" });
    await client.next("puback");
    client.drop();
  });

  it("sees clients, and disconnects one", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1", clean: false });
    await client.settled();
    const { code, out } = await asked("clients");
    assert.equal(code, 0);
    assertScreen("clients", out);
    assertScreen("clients-kick", (await asked("clients", "kick", "sensor-1")).out);
    await client.ended();
    const again = await asked("clients", "kick", "sensor-1");
    assert.deepEqual([again.code, /ERR_NOT_THERE/.test(again.err)], [2, true]);
    assert.match((await asked("clients")).out, /^0 connected, 1 away\n/);
  });
});

/** Without what depends on how long the gateway runs, and on the machine. */
function settled(screen: string): string {
  return screen
    .replace(/^ {2}! uplink .*\n/gm, "")
    .replace(/^( *(?:flash|machine|clock|progress|top talkers)) .*$/gm, "$1")
    .replace(/^ {2}(?:machine|top talkers)\n/gm, "")
    .replace(/^( {2}uplink +)(?:waiting|connecting)/gm, "$1waiting");
}
