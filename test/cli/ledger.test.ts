import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { command, isBalanced, screen } from "../../src/cli/ledger.ts";
import type { LedgerProof } from "../../src/gateway-status.ts";

const LANE = { accepted: 0, delivered: 0, dropped: {}, queued: 0, missing: 0 };

describe("fieldgate ledger", () => {
  it("shows the sum of each lane and each device, and that they balance", () => {
    const proof: LedgerProof = {
      gateway: "gw-a",
      journal: "00112233445566778899aabbccddeeff",
      lanes: {
        alarm: LANE,
        telemetry: {
          ...LANE,
          accepted: 1200,
          delivered: 1000,
          dropped: { expired: 20 },
          queued: 180,
        },
        bulk: LANE,
      },
      devices: {
        boiler: { frames: 70, accepted: 60, refused: { checksum: 9 }, inflight: 1, missing: 0 },
      },
    };
    assert.equal(isBalanced(proof), true);
    assert.equal(
      screen(proof),
      `gw-a, journal 00112233445566778899aabbccddeeff
  lane alarm           0 accepted = 0 delivered + 0 queued
  lane telemetry       1,200 accepted = 1,000 delivered + 20 dropped (expired) + 180 queued
  lane bulk            0 accepted = 0 delivered + 0 queued
  device boiler        70 frames = 60 accepted + 9 refused (checksum) + 1 in flight
The books balance.
`,
    );
  });

  it("says where something is missing, or is there twice", () => {
    const lanes = {
      alarm: { ...LANE, accepted: 5, missing: 5 },
      telemetry: { ...LANE, missing: -2 },
      bulk: LANE,
    };
    const proof = { gateway: "gw-a", journal: "0", lanes, devices: {} };
    assert.equal(isBalanced(proof), false);
    assert.match(screen(proof), /alarm .*! 5 missing\n.*! 2 too many\n[^!]*do not balance/);
  });

  it("says when no gateway answers", async () => {
    const socket = "/nonexistent/control.sock";
    const asked = command.run({ configPath: "", socket, json: false, options: {}, rest: [] });
    await assert.rejects(asked, { code: "ERR_CONTROL", message: /no gateway answers/ });
  });
});
