import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigTrial } from "../../src/control/config-trial.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("a configuration on trial", () => {
  it("goes back when nobody confirms it in time", async () => {
    const { clock, trial } = begun();
    await trial.changed("old");
    assert.equal(trial.text, "new");
    await clock.run(299_000);
    assert.deepEqual(trial.status(), { state: "trying", remainingMs: 1000, last: null });
    await clock.run(300_000);
    await trial.changed("new");
    assert.equal(trial.text, "old");
    const { state, last } = trial.status();
    assert.deepEqual([state, last?.kept], ["steady", false]);
    assert.match(last?.why ?? "", /nobody confirmed it within 300 s/);
  });

  it("stays when it is confirmed", async () => {
    const { clock, trial } = begun();
    trial.confirm();
    await clock.run(1_000_000);
    assert.equal(trial.text, "new");
    assert.equal(trial.status().last?.kept, true);
    assert.throws(() => trial.confirm(), { code: "ERR_CONFIG_TRIAL" });
  });

  it("is one at a time, and can be taken back", () => {
    const { trial } = begun();
    assert.throws(() => trial.begin("third", 1000), { code: "ERR_CONFIG_TRIAL" });
    trial.goBack("taken back");
    assert.equal(trial.text, "old");
    assert.throws(() => trial.goBack("again"), { code: "ERR_CONFIG_TRIAL" });
    trial.begin("third", 1000);
    assert.equal(trial.text, "third");
  });
});

function begun() {
  const clock = new SimClock();
  const trial = new ConfigTrial("old", clock);
  trial.begin("new", 300_000);
  return { clock, trial };
}
