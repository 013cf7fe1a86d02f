import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ConfigLayers } from "../../src/config/file-layers.ts";
import type { Overlay, Refusal } from "../../src/config/overlay.ts";
import { parseOverlaid } from "../../src/config/yaml-load.ts";

const FILE = `
gateway: { id: gw-a, site: plant-7 }
log: { level: warn }
mqtt: { packetBytesMax: 64KiB }
cluster: { endpoints: [http://127.0.0.1:2379] }
uplink: { endpoints: [mqtt://cloud:1883], rules: [{ match: "a/#", lane: bulk }] }
`;

describe("what lies over the file", () => {
  it("sets single keys, lists and sections, and leaves the rest as the file has it", () => {
    const config = parseOverlaid(FILE, {
      "log.level": "debug",
      "uplink.rules": '[{ match: "b/#", lane: alarm }]',
      mqtt: "packetBytesMax: 32KiB",
      "health.figuresSeconds": "3",
    });
    assert.equal(config.log.level, "debug");
    assert.deepEqual(
      config.uplink?.rules.map(({ match }) => match),
      ["b/#"],
    );
    assert.equal(config.mqtt.packetBytesMax, 32 * 1024);
    assert.equal(config.health.figuresSeconds, 3);
    assert.equal(config.gateway.id, "gw-a");
    assert.deepEqual(config.uplink?.endpoints, ["mqtt://cloud:1883"]);
  });

  it("is refused as a whole, with every key that is to blame and why", () => {
    checkRefused({ "log.level": "loud" }, "log.level: log.level must be one of");
    checkRefused({ "log.levle": "info" }, 'log.levle: log.levle unknown key, did you mean "level"');
    checkRefused({ log: "{ level: loud }" }, "log: log.level must be");
    checkRefused({ "mqtt.packetBytesMax": "[1" }, "mqtt.packetBytesMax: ");
    checkRefused({ "log.level.deep": "1" }, "log.level.deep: log.level must be");
    checkRefused({ "gateway.id": "gw-x" }, "gateway.id: gateway is set by the file");
    checkRefused({ store: "{ path: /x }" }, "store: store.path is set by the file");
    checkRefused({ "cluster.endpoints": "[]" }, "cluster.endpoints: cluster is set by the file");
    checkRefused({ "../log": "x" }, "../log: is not the path of a key");
    checkRefused({ __proto__x: "1" }, "__proto__x: is not the path of a key");
    checkRefused({ devices: "x".repeat(70_000) }, "devices: is longer than");
    checkRefused({ "log.level": "info", "mqtt.packetBytesMax": "no" }, "mqtt.packetBytesMax: ");
    const many = Object.fromEntries(
      Array.from({ length: 257 }, (_, n) => [`a.${"b".repeat(n % 50)}${n}`, "1"]),
    );
    checkRefused(many, "null: 257 keys");
  });
});

describe("the layers of a gateway's configuration", () => {
  it("take effect at once where they can, wait for a restart elsewhere, and are there at the next start", () =>
    withFile(async (path, store) => {
      const layers = await ConfigLayers.load(path);
      const told = await layers.lay({ "log.level": "debug", "mqtt.packetBytesMax": "32KiB" });
      assert.deepEqual([told.applied, told.waiting], [["log.level"], ["mqtt.packetBytesMax"]]);
      assert.equal(layers.live.log.level, "debug");
      assert.equal(layers.live.mqtt.packetBytesMax, 64 * 1024);

      const later = await ConfigLayers.load(path);
      assert.equal(later.fault, null);
      assert.equal(later.config.mqtt.packetBytesMax, 32 * 1024);
      const back = await later.lay({});
      assert.deepEqual([back.applied, back.waiting], [["log.level"], ["mqtt.packetBytesMax"]]);
      assert.equal(later.live.log.level, "warn");
      assert.equal((await ConfigLayers.load(path)).config.mqtt.packetBytesMax, 64 * 1024);
      assert.match(await readFile(join(store, "site-config.json"), "utf8"), /"overlay":\{\}/);
    }));

  it("change nothing when they are refused", () =>
    withFile(async (path) => {
      const layers = await ConfigLayers.load(path);
      await layers.lay({ "log.level": "error" });
      const lay = layers.lay({ "log.level": "debug", "mqtt.packetBytesMax": "no" });
      await assert.rejects(lay, { code: "ERR_CONFIG_INVALID" });
      assert.equal(layers.live.log.level, "error");
      assert.equal((await ConfigLayers.load(path)).config.log.level, "error");
    }));

  it("start with the file alone, and say so, when the last known good is damaged or not good any more", () =>
    withFile(async (path, store) => {
      await (await ConfigLayers.load(path)).lay({ "log.level": "error" });
      for (const text of ["{", '{"overlay":{"log.level":"loud"}}', '{"overlay":{"log.level":1}}']) {
        await writeFile(join(store, "site-config.json"), text);
        const { config, fault } = await ConfigLayers.load(path);
        assert.equal(config.log.level, "warn", text);
        assert.equal(fault?.code, "ERR_CONFIG_INVALID", text);
      }
    }));
});

function checkRefused(overlay: Overlay, start: string): void {
  assert.throws(
    () => parseOverlaid(FILE, overlay),
    (error: { code: string; details: { refused: readonly Refusal[] } }) => {
      assert.equal(error.code, "ERR_CONFIG_INVALID");
      const told = error.details.refused.map(({ key, message }) => `${key}: ${message}`);
      assert.ok(
        told.some((one) => one.startsWith(start)),
        `${start} is not in ${told.join("; ")}`,
      );
      return true;
    },
  );
}

async function withFile(use: (path: string, store: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-layers-"));
  try {
    const [path, store] = [join(directory, "fieldgate.yaml"), join(directory, "store")];
    await writeFile(path, `${FILE}store: { path: ${store} }\n`);
    await use(path, store);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
