import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake } from "./endpoint.ts";
import type { Finding } from "./mistake.ts";
import type { ClusterConfig, Config } from "./schema.ts";

/** sun_path of Linux has 108 bytes, the last of them a NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The store, the cluster and the control socket. */
export function* checkSite(config: Config): Generator<Finding> {
  if (config.store.durability === "safe") {
    const why = "this version keeps no copy on a peer yet: choose local or fast";
    yield conflict("store.durability", `cannot be safe: ${why}`, []);
  }
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

function* checkCluster(cluster: ClusterConfig): Generator<Finding> {
  for (const [index, endpoint] of cluster.endpoints.entries()) {
    const message = endpointMistake(endpoint);
    if (message !== null) {
      yield { path: `cluster.endpoints[${index}]`, code: "pattern", message };
    }
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
