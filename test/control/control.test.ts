import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { jsonLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { ask, follow, tell } from "../../src/control/control-client.ts";
import { ControlServer } from "../../src/control/control-server.ts";
import { Feed } from "../../src/control/feed.ts";
import type { ControlRoutes } from "../../src/control/protocol.ts";
import { until } from "../support/until.ts";

const QUESTION_MS_MAX = 500;
const SILENT = { max: 1, bytesMax: 1, bytesOf: () => 1 };

describe("the control socket", () => {
  it("answers what is asked, with its query, and does what it is told, with a body", () =>
    withServer(
      {
        "GET colour": ({ query }) => ({ of: query.get("of") }),
        "POST clients/kick": async ({ body }) => ({ kicked: body["id"] }),
        "GET nothing": () => undefined,
      },
      async (socket) => {
        assert.deepEqual(await ask(socket, "colour?of=sky"), { of: "sky" });
        assert.deepEqual(await tell(socket, "clients/kick", { id: "a" }), { kicked: "a" });
        assert.deepEqual(await ask(socket, "nothing"), {});
      },
    ));

  it("keeps asking and telling apart, and knows only its own names", () =>
    withServer({ "GET status": () => 1 }, async (socket) => {
      for (const wrong of [
        () => tell(socket, "status", {}),
        () => ask(socket, "weather"),
        () => ask(socket, "__proto__"),
        () => ask(socket, "../status"),
      ]) {
        await assert.rejects(wrong, { code: "ERR_CONTROL_VERSION", message: /knows nothing of/ });
      }
    }));

  it("tells a refusal with its code and details, and writes no log line for it", () =>
    withServer(
      {
        "GET refused": () => {
          const details = { topic: "a/#" };
          throw new FieldgateError("ERR_TOPIC", "has wildcards", { details });
        },
      },
      async (socket, lines) => {
        await assert.rejects(ask(socket, "refused"), {
          code: "ERR_TOPIC",
          message: "has wildcards",
          details: { topic: "a/#" },
        });
        assert.deepEqual(lines, []);
      },
    ));

  it("logs a fault of its own, and says that there was one", () =>
    withServer(
      {
        "GET broken": () => {
          throw new TypeError("undefined is not a function");
        },
      },
      async (socket, lines) => {
        await assert.rejects(ask(socket, "broken"), { code: "ERR_CONTROL" });
        assert.match(lines[0] ?? "", /control request failed/);
      },
    ));

  it("refuses bodies that are no JSON object, or too long", () =>
    withServer({ "POST it": () => 1 }, async (socket) => {
      for (const body of ["[]", "7", "{", `{"a":"${"x".repeat(2 ** 20)}"}`]) {
        assert.deepEqual(await posted(socket, "it", body), [400, "ERR_USAGE"]);
      }
    }));

  it("refuses other methods, other versions and other places with a code", () =>
    withServer({ "GET status": () => 1 }, async (socket) => {
      for (const [method, path, status] of [
        ["DELETE", "/v1/status", 405],
        ["PUT", "/v1/status", 405],
        ["GET", "/v2/status", 404],
        ["GET", "/status", 404],
        ["GET", "/v1/", 404],
      ] as const) {
        assert.deepEqual(await sent(socket, { method, path }), [status, "ERR_USAGE"], path);
      }
    }));

  it("waits for nobody who asks too slowly, and has room for others meanwhile", () =>
    withServer({ "GET it": () => ({ it: 1 }), "POST it": () => 1 }, async (socket) => {
      const slow = [
        "GET /v1/it HTTP/1.1\r\n",
        "POST /v1/it HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
      ];
      const cut = slow.map(async (part) => {
        const connection = connect(socket);
        connection.write(part);
        let said = "";
        for await (const chunk of connection) said += chunk;
        return said;
      });
      assert.deepEqual(await ask(socket, "it"), { it: 1 });
      for (const said of await Promise.all(cut)) assert.match(said, /^HTTP\/1\.1 408 /);
    }));

  it("says that a gateway does not answer in time, or breaks off", () =>
    withServer(
      {
        "GET never": () => new Promise(() => {}),
        "GET half": async function* ({ signal }) {
          yield 1;
          if (!signal.aborted) throw new Error("broke");
        },
      },
      async (socket) => {
        const late = { code: "ERR_CONTROL", message: /no answer within 0.05 s: it hangs/ };
        await assert.rejects(ask(socket, "never", 50), late);
        await assert.rejects(ask(socket, "half"), { code: "ERR_CONTROL", message: /broke off/ });
      },
    ));

  it("goes on telling until the caller leaves, and notices that", () => {
    let stopped = false;
    return withServer(
      {
        "GET numbers": async function* ({ signal }) {
          try {
            for (let i = 1; !signal.aborted; i++) {
              yield { i };
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            stopped = true;
          }
        },
      },
      async (socket) => {
        const seen: unknown[] = [];
        for await (const value of follow(socket, "numbers")) {
          seen.push(value);
          if (seen.length === 3) break;
        }
        assert.deepEqual(seen, [{ i: 1 }, { i: 2 }, { i: 3 }]);
        await until("the gateway has noticed", () => stopped);
      },
    );
  });

  it("refuses one caller more than it may have, and takes the next when one has left", () =>
    withServer(
      {
        "GET forever": async function* ({ signal }) {
          yield 1;
          await new Promise<void>((resolve) => {
            signal.addEventListener("abort", () => resolve());
          });
        },
        "GET it": () => ({ it: 1 }),
      },
      async (socket, _lines, server) => {
        const leave: (() => Promise<unknown>)[] = [];
        for (let i = 0; i < 4; i++) {
          const said = follow(socket, "forever")[Symbol.asyncIterator]();
          await said.next();
          leave.push(async () => said.return?.());
        }
        await assert.rejects(ask(socket, "it"), { code: "ERR_CONTROL_BUSY" });
        assert.equal(server.refused, 1);
        // Those who say nothing have the places of those who are told that it is busy.
        const silent = Array.from({ length: 5 }, () => connect(socket));
        await once(silent.at(-1) ?? assert.fail(), "close");
        assert.equal(server.refused, 2);
        for (const each of silent) each.destroy();
        await leave[0]?.();
        await until("there is room again", () =>
          ask(socket, "it").then(
            () => true,
            () => false,
          ),
        );
        for (const each of leave.slice(1)) await each();
      },
    ));

  it("has its room back from callers who ask very much at once, take nothing, and leave", () =>
    withServer({ "GET it": () => ({ much: "x".repeat(100_000) }) }, async (socket, lines) => {
      const asked = "GET /v1/it HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
      const greedy = [1, 2, 3, 4].map(() => connect(socket).pause());
      for (const each of greedy) each.on("error", () => {}).write(asked);
      const answers = () => ask(socket, "it").then(() => true, wasBusy);
      await until("they are cut off, or answered", answers);
      for (const each of greedy) each.destroy();
      await until("all have left", answers);
      for (const path of ["//", "http://[", "/v1/%"]) {
        assert.deepEqual(await sent(socket, { method: "GET", path }), [404, "ERR_USAGE"], path);
      }
      assert.deepEqual(lines, []);
    }));

  it("cuts off a caller who does not take a long answer, and leaves alone who watches in silence", () =>
    withServer(
      {
        "GET it": () => ({ much: "x".repeat(8_000_000) }),
        "GET watch": ({ signal }) => new Feed(SILENT, signal),
      },
      async (socket, _lines, server) => {
        const watching = follow(socket, "watch")[Symbol.asyncIterator]();
        const first = watching.next();
        const slow = [1, 2, 3].map(() => connect(socket).pause());
        for (const each of slow)
          each.on("error", () => {}).write("GET /v1/it HTTP/1.1\r\nHost: a\r\n\r\n");
        await until("there is no room", () =>
          ask(socket, "it").then(
            () => false,
            (error) => !wasBusy(error),
          ),
        );
        await until("there is room", () => ask(socket, "it").then(() => true, wasBusy));
        assert.ok(server.refused > 0);
        const last = await Promise.race([first, turn("still watching")]);
        assert.equal(last, "still watching");
        for (const each of slow) each.destroy();
      },
    ));

  it("is for owner and group only, and says when nobody answers", async () => {
    await withServer({}, async (socket) => {
      assert.equal((await stat(socket)).mode & 0o777, 0o660);
      assert.equal((await stat(dirname(socket))).mode & 0o777, 0o750);
    });
    const silent = { code: "ERR_CONTROL", message: /no such socket.*systemctl status/ };
    await assert.rejects(ask("/nowhere/control.sock", "status"), silent);
  });
});

async function withServer(
  routes: ControlRoutes,
  work: (socket: string, lines: readonly string[], server: ControlServer) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-control-"));
  const socket = join(directory, "run", "control.sock");
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const log = jsonLog({ clock: systemClock, level: "info", write });
  const server = new ControlServer({ socket, connectionsMax: 4 }, routes, log, QUESTION_MS_MAX);
  await server.start();
  try {
    await work(socket, lines, server);
  } finally {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function posted(socket: string, name: string, body: string): Promise<[number, unknown]> {
  return sent(socket, { method: "POST", path: `/v1/${name}` }, body);
}

/** HTTP status and code of the answer to what our own client would not send. */
function sent(
  socket: string,
  what: { readonly method: string; readonly path: string },
  body = "",
): Promise<[number, unknown]> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: socket, ...what, agent: false }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve([response.statusCode ?? 0, JSON.parse(text).code]);
    });
    asking.on("error", reject);
    asking.end(body);
  });
}

/** False, for a caller who comes again. @throws what is no lack of room */
function wasBusy(error: unknown): false {
  const { code } = error as { readonly code?: string };
  assert.ok(code === "ERR_CONTROL_BUSY" || code === "ERR_CONTROL", String(error));
  return false;
}

function turn<T>(value: T): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(value)));
}
