import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { LogOutput, type LogSink } from "../../src/cli/log-output.ts";

describe("the log's output", () => {
  it("drops and counts what nobody reads, and tells it once it is read again", () => {
    const { sink, written, isRead } = slowSink();
    const output = new LogOutput(sink, systemClock);
    output.pendingBytesMax = 10;
    const write = (...lines: string[]) => {
      for (const line of lines) output.write(line);
    };
    write("aaaa\n", "bbbb\n");
    assert.deepEqual(output.status(), { pendingBytes: 10, dropped: 0, isRead: true });
    write("cccc\n");
    assert.deepEqual(output.status(), { pendingBytes: 10, dropped: 1, isRead: false });
    output.pendingBytesMax = 200;
    write("dddd\n");
    assert.equal(output.status().dropped, 2, "a gap has one end");
    isRead();
    assert.deepEqual(written.slice(0, 2), ["aaaa\n", "bbbb\n"]);
    const { level, message, lines } = JSON.parse(written[2] ?? "");
    assert.deepEqual([level, message, lines], ["warn", "nobody read the log: lines are lost", 2]);
    write("eeee\n");
    assert.equal(written[3], "eeee\n");
    isRead();
    assert.equal(written.length, 4, "told once");
    assert.equal(output.status().isRead, true);
  });
});

function slowSink() {
  const written: string[] = [];
  let waiting = 0;
  let callbacks: (() => void)[] = [];
  const sink: LogSink = {
    get writableLength() {
      return waiting;
    },
    write(line, passed) {
      written.push(line);
      callbacks.push(passed);
      waiting += line.length;
    },
  };
  const isRead = () => {
    waiting = 0;
    const due = callbacks;
    callbacks = [];
    for (const passed of due) passed();
  };
  return { sink, written, isRead };
}
