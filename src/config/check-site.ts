import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake } from "./endpoint.ts";
import type { Finding } from "./mistake.ts";
import type { ClusterConfig, Config, ListenerConfig } from "./schema.ts";

/** sun_path of Linux has 108 bytes, the last of them a NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The store, the listeners, the cluster and the control socket. */
export function* checkSite(config: Config): Generator<Finding> {
  if (config.store.durability === "safe") {
    const why = "this version keeps no copy on a peer yet: choose local or fast";
    yield conflict("store.durability", `cannot be safe: ${why}`, []);
  }
  yield* checkListeners(config.listeners);
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

function* checkListeners(listeners: readonly ListenerConfig[]): Generator<Finding> {
  yield* checkTwice(
    listeners,
    (listener) => listener.name,
    (index) => `listeners[${index}].name`,
    (first) => `is taken by ${first}: every listener needs its own name`,
  );
  for (const [index, listener] of listeners.entries()) {
    const path = `listeners[${index}].port`;
    const other = listeners.findIndex((one) => takesSamePort(one, listener));
    if (other === -1 || other >= index) continue;
    const rest = [
      `listeners[${index}].host`,
      `listeners[${other}].host`,
      `listeners[${other}].port`,
    ];
    yield conflict(path, `is taken on this address by listeners[${other}]`, rest);
  }
}

function takesSamePort(a: ListenerConfig, b: ListenerConfig): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || isEveryAddress(a.host) || isEveryAddress(b.host);
}

function isEveryAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
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
