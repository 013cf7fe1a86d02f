import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTROL_SOCKET, controlSocketIn } from "../../src/config/control-socket.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

describe("the control socket in a configuration", () => {
  it("is found without reading the rest, and is what the whole file says", () => {
    check("control:\n  socket: /run/a.sock\n");
    check("log: { level: info }\ncontrol: # ours\n\n  # where\n  socket: '/run/a b.sock'\n");
    check('control:\r\n  socket: "/run/a.sock" # here\r\nlog:\r\n  level: info\r\n');
    check("log:\n  level: info\n");
    check("control:\n  feedMax: 5\n  socket: /run/a.sock\n");
    check("control: { socket: /run/a.sock }\n");
    check('{"control":{"socket":"/run/a.sock"}}');
    check("control: { socket: /run/a.sock, feedMax: 7 }\n");
    check('control: {"socket":"/run/a.sock"}\n');
    check('control: {"socket":"/run/\\u0061.sock"}\n');
    check("gateway:\n  id: control\n");
    check("control:\nlog:\n  level: info\n");
  });

  it("is found although the file has a mistake elsewhere", () => {
    assert.equal(controlSocketIn("stroe: {}\ncontrol:\n  socket: /run/a.sock\n"), "/run/a.sock");
    assert.equal(controlSocketIn("stroe: {}\n"), CONTROL_SOCKET);
  });

  it("is not guessed where it is written otherwise", () => {
    for (const text of ['{"control":{"socket":"/a"}}', "control:\n  socket: >\n    /a\n"]) {
      assert.equal(controlSocketIn(text), null, text);
    }
  });

  function check(text: string): void {
    const found = controlSocketIn(text);
    if (found !== null) assert.equal(found, parseConfig(text, "test").control.socket, text);
  }
});
