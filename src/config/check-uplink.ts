import { topicFilterError } from "../mqtt/topic.ts";
import { checkManners } from "./check-manners.ts";
import { checkTwice, conflict } from "./check-twice.ts";
import { endpointMistake, endpointUser } from "./endpoint.ts";
import type { Finding } from "./mistake.ts";
import { checkTemplate, placeholdersIn } from "./placeholders.ts";
import type { Config, UplinkConfig, UplinkRuleConfig } from "./schema.ts";

/** Endpoints, credentials, times and rules of the way to the cloud. */
export function* checkUplink(config: Config): Generator<Finding> {
  const { uplink } = config;
  if (!uplink) return;
  yield* checkEndpoints(uplink);
  yield* checkCredentials(uplink);
  if (uplink.endpointsPrefix !== undefined && config.cluster === undefined) {
    const message = "needs cluster: the keys are read in its etcd";
    yield conflict("uplink.endpointsPrefix", message, ["cluster"]);
  }
  if (uplink.backoffFirstMs > uplink.backoffMaxMs) {
    const message = `must not be more than backoffMaxMs (${uplink.backoffMaxMs} ms)`;
    yield conflict("uplink.backoffFirstMs", message, ["uplink.backoffMaxMs"]);
  }
  for (const [index, rule] of uplink.rules.entries()) {
    yield* checkRule(rule, `uplink.rules[${index}]`);
  }
  yield* checkReached(uplink.rules);
  yield* checkManners(uplink);
}

function* checkEndpoints({ endpoints }: UplinkConfig): Generator<Finding> {
  for (const [index, endpoint] of endpoints.entries()) {
    const message = endpointMistake(endpoint);
    const path = `uplink.endpoints[${index}]`;
    if (message !== null) yield { path, code: "pattern", message };
    else if (endpoint.startsWith("srv+") && new URL(endpoint).port !== "") {
      yield { path, code: "pattern", message: "has a port: the SRV records of its name say which" };
    }
  }
  yield* checkTwice(
    endpoints,
    (endpoint) => endpoint,
    (index) => `uplink.endpoints[${index}]`,
    (first) => `is the same as ${first}`,
  );
}

function* checkCredentials(uplink: UplinkConfig): Generator<Finding> {
  const { endpoints, username, passwordFile, caFile, certFile, keyFile } = uplink;
  const everyEndpoint = endpoints.map((_, index) => `uplink.endpoints[${index}]`);
  if (certFile && !keyFile) {
    yield conflict("uplink.certFile", "needs keyFile: a certificate is no use without its key", [
      "uplink.keyFile",
    ]);
  }
  if (keyFile && !certFile) {
    yield conflict("uplink.keyFile", "needs certFile: a key is no use without its certificate", [
      "uplink.certFile",
    ]);
  }
  if (!endpoints.some((endpoint) => /^(srv\+)?mqtts:/.test(endpoint))) {
    for (const [key, file] of Object.entries({ caFile, certFile, keyFile })) {
      const message = "is used with TLS only, and no endpoint begins with mqtts://";
      if (file) yield conflict(`uplink.${key}`, message, everyEndpoint);
    }
  }
  const inUrls = endpoints.map(endpointUser);
  for (const [index, inUrl] of inUrls.entries()) {
    if (inUrl.user === "" || (username === undefined && passwordFile === undefined)) continue;
    const message = "names a user, and so do username and passwordFile: keep one of them";
    yield conflict(`uplink.endpoints[${index}]`, message, ["uplink.username"]);
  }
  if (passwordFile && !username && inUrls.every(({ user }) => user === "")) {
    const message = "needs username: MQTT 3.1.1 sends no password without a user [MQTT-3.1.2-22]";
    yield conflict("uplink.passwordFile", message, ["uplink.username", ...everyEndpoint]);
  }
}

function* checkRule(rule: UplinkRuleConfig, path: string): Generator<Finding> {
  const filter = topicFilterError(rule.match);
  const filled = placeholdersIn(rule.match).filter((one) => remotePlaceholders.includes(one));
  if (filter !== null) yield { path: `${path}.match`, code: "topic", message: filter };
  else if (rule.match.startsWith("$share/")) {
    const message = "is a shared subscription; a rule is a plain topic filter";
    yield { path: `${path}.match`, code: "topic", message };
  } else if (rule.match.startsWith("$fieldgate")) {
    const message = "is a topic of the gateway's own: it leaves by itself";
    yield { path: `${path}.match`, code: "topic", message };
  } else if (filled.length > 0) {
    const message = `has {${filled[0]}}, but nothing is filled in here: use + for any level`;
    yield { path: `${path}.match`, code: "topic", message };
  }
  yield* checkTemplate(rule.remoteTopic, remotePlaceholders, `${path}.remoteTopic`);
}

const remotePlaceholders = ["topic", "gateway", "site"];

/** The first rule that matches decides, so one that stands behind the same filter or behind # decides nothing. */
function* checkReached(rules: readonly UplinkRuleConfig[]): Generator<Finding> {
  for (const [index, { match }] of rules.entries()) {
    if (topicFilterError(match) !== null) continue;
    const before = rules
      .slice(0, index)
      .findIndex((one) => one.match === match || (one.match === "#" && !match.startsWith("$")));
    if (before === -1) continue;
    const path = `uplink.rules[${index}].match`;
    const first = `uplink.rules[${before}].match`;
    const message = `is never reached: ${first} matches all of it, and the first rule decides`;
    yield conflict(path, message, [first]);
  }
}
