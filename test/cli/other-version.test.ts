import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Command } from "../../src/cli/command.ts";
import { checksOf } from "../../src/cli/doctor-checks.ts";
import { command as ledger } from "../../src/cli/ledger.ts";
import { understood, versionWarnings } from "../../src/cli/other-version.ts";
import { command as site } from "../../src/cli/site.ts";
import { command as status } from "../../src/cli/status.ts";
import { command as uplink } from "../../src/cli/uplink.ts";
import { version } from "../../src/cli/version.ts";
import { configOf } from "../support/config.ts";
import { runCommand } from "../support/run-command.ts";

const OLD = { version: "0.0.1", gateway: "gw-a", site: "s", uplink: {}, cluster: {} };

describe("a gateway that was not restarted since an upgrade", () => {
  it("is told of by its version, and what to do, where its answers are not understood", () =>
    withGateway({ "/v1/status": OLD }, async (socket) => {
      for (const command of [status, uplink, site] satisfies Command[]) {
        await assert.rejects(runCommand(command, { socket }), {
          code: "ERR_CONTROL_VERSION",
          message: /runs version 0\.0\.1, and .* is installed: systemctl restart fieldgate/,
        });
      }
      const checks = await checksOf(configOf({}), socket);
      const [finding] =
        (await checks.find(({ id }) => id === "gateway")?.run(AbortSignal.timeout(60_000))) ?? [];
      assert.match(finding?.why ?? "", /runs version 0\.0\.1/);
    }));

  it("wants attention even where they are, and one of the same version does not", () => {
    assert.equal(versionWarnings({ version: "0.0.1" }).length, 1);
    assert.deepEqual(versionWarnings({ version }), []);
    const ours = () => understood({ version }, () => assert.fail("a fault of our own"));
    assert.throws(ours, { message: "a fault of our own" });
  });

  it("is told of where it does not know a question", () =>
    withGateway({ "/v1/status": { ...OLD, version } }, async (socket) => {
      const asked = runCommand(ledger, { socket });
      await assert.rejects(asked, { code: "ERR_CONTROL_VERSION", message: /nothing of ledger/ });
    }));
});

describe("a gateway that hangs", () => {
  it("is not waited for by fieldgate ledger as long as a proof may take", () =>
    withGateway({}, async (socket, asked) => {
      await assert.rejects(runCommand(ledger, { socket }));
      assert.deepEqual(asked, ["/v1/status"], "which answers at once, or within 5 s not at all");
    }));
});

/** A control socket with these answers. */
async function withGateway(
  answers: Readonly<Record<string, object>>,
  body: (socket: string, asked: readonly string[]) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-other-version-"));
  const socket = join(directory, "control.sock");
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const answer = answers[request.url ?? ""];
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? {}));
  });
  await new Promise<void>((listening) => server.listen(socket, listening));
  try {
    await body(socket, asked);
  } finally {
    server.close();
    await rm(directory, { recursive: true });
  }
}
