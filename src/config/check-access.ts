import { topicFilterError } from "../mqtt/topic.ts";
import { isLoopback } from "./check-listeners.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import type { Config } from "./schema.ts";

const EVERYTHING = "everything";

/** Roles that are used and defined, filters, and what methods of authentication rest on. */
export function* checkAccess(config: Config): Generator<Finding> {
  yield* checkRoles(config);
  yield* checkTokens(config);
  yield* checkListeners(config);
  for (const [index, { match }] of config.mqtt.topicRates.entries()) {
    const why = topicFilterError(match);
    const path = `mqtt.topicRates[${index}].match`;
    if (why !== null) yield { path, code: "topic", message: `is not a topic filter: ${why}` };
  }
}

function* checkRoles({ access }: Config): Generator<Finding> {
  const { roles, certificates } = access;
  yield* checkTwice(
    roles,
    ({ name }) => name,
    (index) => `access.roles[${index}].name`,
    (first) => `is taken by ${first}: every role needs its own name`,
  );
  for (const [index, role] of roles.entries()) {
    const path = `access.roles[${index}]`;
    if (role.name === EVERYTHING) {
      yield conflict(`${path}.name`, "is a role that is there already: take another name");
    }
    for (const action of ["publish", "subscribe"] as const) {
      const { allow, deny } = role[action];
      yield* checkFilters(allow, `${path}.${action}.allow`);
      yield* checkFilters(deny, `${path}.${action}.deny`);
    }
  }
  const known = new Set([EVERYTHING, ...roles.map(({ name }) => name)]);
  for (const key of ["loopbackRoles", "anonymousRoles", "downlinkRoles"] as const) {
    yield* checkNames(access[key], known, `access.${key}`);
  }
  for (const [index, each] of certificates.roles.entries()) {
    yield* checkNames(each.roles, known, `access.certificates.roles[${index}].roles`);
  }
}

function* checkFilters(filters: readonly string[], path: string): Generator<Finding> {
  for (const [index, filter] of filters.entries()) {
    const message = filterError(filter);
    if (message !== null) yield { path: `${path}[${index}]`, code: "topic", message };
  }
}

function* checkNames(
  names: readonly string[],
  known: ReadonlySet<string>,
  path: string,
): Generator<Finding> {
  for (const [index, name] of names.entries()) {
    if (known.has(name)) continue;
    yield conflict(`${path}[${index}]`, "is no role: define it in access.roles", ["access.roles"]);
  }
}

function* checkTokens({ access: { tokens } }: Config): Generator<Finding> {
  if (tokens === undefined) return;
  const { keysFile, keysUrl, keysCaFile } = tokens;
  const path = "access.tokens";
  const restsOn = [`${path}.keysFile`, `${path}.keysUrl`];
  if ((keysFile === undefined) === (keysUrl === undefined)) {
    yield conflict(path, "needs one of keysFile and keysUrl", restsOn);
  }
  if (keysUrl?.startsWith("http:") && !isLoopback(hostOf(keysUrl))) {
    yield conflict(
      `${path}.keysUrl`,
      "must begin with https://: anyone on the way could change keys",
    );
  }
  if (keysCaFile !== undefined && !keysUrl?.startsWith("https:")) {
    yield conflict(`${path}.keysCaFile`, "belongs to a keysUrl that begins with https://", restsOn);
  }
}

function* checkListeners({ listeners, access }: Config): Generator<Finding> {
  for (const [index, listener] of listeners.entries()) {
    const path = `listeners[${index}]`;
    const methods = listener.methods ?? [];
    if (methods.includes("password") && access.usersFile === undefined) {
      yield conflict(`${path}.methods`, "has password: that needs access.usersFile", [
        "access.usersFile",
      ]);
    }
    if (methods.includes("token") && access.tokens === undefined) {
      yield conflict(`${path}.methods`, "has token: that needs access.tokens", ["access.tokens"]);
    }
    if (methods.includes("certificate") && listener.clientCaFile === undefined) {
      yield conflict(`${path}.methods`, "has certificate: that needs clientCaFile", [
        `${path}.clientCaFile`,
      ]);
    }
    if (listener.anonymous && !isLoopback(listener.host) && access.anonymousRoles.length === 0) {
      const message =
        "lets clients in who may do nothing: say in access.anonymousRoles what they may";
      yield conflict(`${path}.anonymous`, message, ["access.anonymousRoles", `${path}.host`]);
    }
  }
}

/** Why that is no filter of a rule. A variable is a part of one level. */
function filterError(filter: string): string | null {
  const plain = filter.replaceAll(/\{[^{}/+#]+\}/g, "x");
  if (/[{}]/.test(plain)) return "has a { or } that belongs to no variable";
  if (plain.startsWith("$share/"))
    return "is the filter that $share is followed by, without $share/{group}/";
  const why = topicFilterError(plain);
  return why === null ? null : `is not a topic filter: ${why}`;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, "") : "";
}
