import { formatByteSize } from "./byte-size.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake, endpointUser } from "./endpoint.ts";
import type { Finding } from "./mistake.ts";
import type { ClusterConfig, Config } from "./schema.ts";

/** Headers of frame, batch and block, and what a block says of its entry. */
const FRAME_COST_BYTES = 2 ** 16;
/** sun_path of Linux has 108 bytes, the last of them a NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The store, the cluster and the control socket. */
export function* checkSite(config: Config): Generator<Finding> {
  if (config.store.durability === "safe" && config.cluster?.peer === undefined) {
    const why = "there is no cluster.peer, so nothing is copied: configure it, or choose local";
    yield conflict("store.durability", `cannot be safe: ${why}`, []);
  }
  yield* checkPeer(config);
  yield* checkTwice(
    config.mqtt.sharedGroups,
    ({ group }) => group,
    (index) => `mqtt.sharedGroups[${index}].group`,
    (first) => `is taken by ${first}: a group has one strategy`,
  );
  if (config.cluster) yield* checkCluster(config.cluster);
  if (new TextEncoder().encode(config.control.socket).length > SOCKET_PATH_BYTES_MAX) {
    const message = `must be at most ${SOCKET_PATH_BYTES_MAX} bytes long, as every Unix socket`;
    yield { path: "control.socket", code: "range", message };
  }
}

/** The largest block must fit into one frame. */
function* checkPeer({ cluster, store, mqtt }: Config): Generator<Finding> {
  const { frameBytesMax } = cluster?.peer ?? {};
  const blockBytesMax = store.blockBytesMax + mqtt.packetBytesMax + FRAME_COST_BYTES;
  if (frameBytesMax === undefined || frameBytesMax >= blockBytesMax) return;
  const why = "store.blockBytesMax, mqtt.packetBytesMax and 64 KiB together";
  yield conflict(
    "cluster.peer.frameBytesMax",
    `must be at least ${formatByteSize(blockBytesMax)}: ${why}`,
    ["store.blockBytesMax", "mqtt.packetBytesMax"],
  );
}

function* checkCluster(cluster: ClusterConfig): Generator<Finding> {
  for (const [index, endpoint] of cluster.endpoints.entries()) {
    const message = endpointMistake(endpoint) ?? userInUrl(endpoint);
    if (message !== null) {
      yield { path: `cluster.endpoints[${index}]`, code: "pattern", message };
    }
  }
  const { username, passwordFile } = cluster;
  if (username !== undefined && passwordFile === undefined) {
    const message = "needs passwordFile: etcd lets in no user without a password";
    yield conflict("cluster.username", message, ["cluster.passwordFile"]);
  }
  if (passwordFile !== undefined && username === undefined) {
    const message = "needs username: whose password it is";
    yield conflict("cluster.passwordFile", message, ["cluster.username"]);
  }
  yield* checkTwice(
    cluster.endpoints,
    (endpoint) => endpoint,
    (index) => `cluster.endpoints[${index}]`,
    (first) => `is the same as ${first}`,
  );
  if (cluster.primaryTtlSeconds > cluster.registrationTtlSeconds) {
    const why = "a primary would outlive its own registration";
    yield conflict(
      "cluster.primaryTtlSeconds",
      `must not be more than registrationTtlSeconds (${cluster.registrationTtlSeconds} s): ${why}`,
      ["cluster.registrationTtlSeconds"],
    );
  }
}

/** A password in the configuration would stand in every copy of it. */
function userInUrl(endpoint: string): string | null {
  const { user, hasPassword } = endpointUser(endpoint);
  if (user === "" && !hasPassword) return null;
  return "names a user or a password: cluster.username says the one, a file that cluster.passwordFile names holds the other";
}
