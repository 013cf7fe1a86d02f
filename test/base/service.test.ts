import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { jsonLog } from "../../src/base/log.ts";
import { type Service, startAll, stopAll } from "../../src/base/service.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("services", () => {
  it("start in order and stop in reverse", async () => {
    const site = stage();
    await site.start(["a", "b", "c"]);
    await site.stop(["a", "b", "c"]);
    assert.equal(site.trace.join(" "), "+a +b +c -c -b -a");
  });

  it("that had started are stopped when a later one fails, and so is the one that failed", async () => {
    const site = stage();
    await assert.rejects(site.start(["a", "b", "fails", "d"]), /fails does/);
    assert.equal(site.trace.join(" "), "+a +b +fails -fails -b -a");
  });

  it("that do not start in time are stopped with ERR_START_TIMEOUT", async () => {
    const site = stage();
    const starting = assert.rejects(site.start(["a", "hangs", "c"]), { code: "ERR_START_TIMEOUT" });
    await site.clock.run(2000);
    await starting;
    assert.equal(site.trace.join(" "), "+a +hangs -hangs -a");
  });

  it("that may take longer to start get that time, and not more", async () => {
    const site = stage();
    let ended = false;
    const starting = site
      .start(["a", "hangs slowly", "c"])
      .catch((error) => assert.equal(error.code, "ERR_START_TIMEOUT"))
      .finally(() => {
        ended = true;
      });
    await site.clock.run(4000);
    assert.equal(ended, false);
    await site.clock.run(6000);
    await starting;
    assert.equal(site.trace.join(" "), "+a +hangs slowly -hangs slowly -a");
  });

  it("that do not stop in time, or fail to, do not keep the others from stopping", async () => {
    const site = stage();
    await site.start(["a", "stuck", "breaks", "d"]);
    const stopping = site.stop(["a", "stuck", "breaks", "d"]);
    await site.clock.run(2000);
    await stopping;
    assert.equal(site.trace.join(" "), "+a +stuck +breaks +d -d -breaks -stuck -a");
    assert.deepEqual(
      site.lines.map(({ message, service, code }) => [message, service, code]),
      [
        ["stop failed", "breaks", undefined],
        ["stop failed", "stuck", "ERR_STOP_TIMEOUT"],
      ],
    );
  });

  it("are not started after the signal has aborted", async () => {
    const site = stage();
    const reason = new FieldgateError("ERR_USAGE", "ended");
    await assert.rejects(site.start(["a", "b"], AbortSignal.abort(reason)), reason);
    assert.equal(site.trace.includes("+b"), false);
  });

  it("whose start is given up leave no error in the log; those that fail do", async () => {
    const ended = stage();
    await assert.rejects(ended.start(["a"], AbortSignal.abort(new Error("ended by SIGTERM"))));
    assert.deepEqual(
      ended.lines.map(({ level, message, service }) => [level, message, service]),
      [["info", "start given up", "a"]],
    );
    const failing = stage();
    await assert.rejects(failing.start(["a", "fails"]));
    assert.deepEqual(
      failing.lines.map(({ level, message, service }) => [level, message, service]),
      [["error", "start failed", "fails"]],
    );
  });
});

/** Services that leave a trace: +name when started, -name when stopped. Some have faults in their names. */
function stage() {
  const clock = new SimClock();
  const trace: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  const log = jsonLog({ clock, level: "info", write });
  const tools = { clock, log, deadlines: { startMs: 1000, stopMs: 500 } };
  const forever = new Promise<void>(() => {});
  const service = (name: string): Service => ({
    name,
    ...(name.endsWith("slowly") ? { startMsMax: 5000 } : {}),
    async start() {
      trace.push(`+${name}`);
      if (name === "fails") throw new Error("fails does");
      if (name.startsWith("hangs")) await forever;
    },
    async stop() {
      trace.push(`-${name}`);
      if (name === "breaks") throw new Error("breaks does");
      if (name === "stuck") await forever;
    },
  });
  const start = (names: readonly string[], signal = new AbortController().signal) =>
    startAll(names.map(service), tools, signal);
  const stop = (names: readonly string[]) => stopAll(names.map(service), tools);
  return { clock, trace, lines, start, stop };
}
