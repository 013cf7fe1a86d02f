import { conflict } from "./check-twice.ts";
import type { Finding } from "./mistake.ts";
import { checkTemplate, filledIn, placeholdersIn } from "./placeholders.ts";
import type { Config, DecodeConfig, DeviceConfig } from "./schema.ts";

const OWN_KEYS = ["statusTopic", "commandTopic", "replyTopic"] as const;

/** The topics of one device, one by one: of its messages, its status, commands and replies. */
export function* checkTopics(device: DeviceConfig, path: string): Generator<Finding> {
  yield* checkTopic(device, path);
  for (const key of OWN_KEYS) {
    const topic = device[key];
    if (topic === undefined) continue;
    yield* checkTemplate(topic, ["gateway", "site", "device"], `${path}.${key}`);
    if (topic.startsWith("$")) yield reserved(`${path}.${key}`);
  }
  if (device.replyTopic !== undefined && device.commandTopic === undefined) {
    yield conflict(`${path}.replyTopic`, "is there without a commandTopic");
  }
}

/** True of frames that have no fields. */
export function hasNoFields(decode: DecodeConfig): boolean {
  return decode.type === "raw" || decode.type === "text";
}

function* checkTopic(device: DeviceConfig, path: string): Generator<Finding> {
  const at = `${path}.topic`;
  const { topic, modbus, decode } = device;
  const slave = modbus === undefined ? [] : ["slave"];
  yield* checkTemplate(topic, ["gateway", "site", "device", ...slave, "field"], at);
  if (topic.startsWith("$")) yield reserved(at);
  if (placeholdersIn(topic).includes("field") && !modbus && hasNoFields(decode)) {
    const message = `has {field}, but decode ${decode.type} has no fields`;
    yield conflict(at, message, [`${path}.decode.type`]);
  }
}

/** A topic of a device with everything filled in. */
interface Used {
  readonly topic: string;
  readonly of: "messages" | "status" | "commands" | "replies";
  /** What says so. */
  readonly path: string;
  /** How it does, where that is not plain to see. */
  readonly how: string;
}

/**
 * The topics of all devices, filled in, those that come by default too: what arrives at a device's command topic is a command for it and for
 * nothing else, and nobody obeys himself; what says how a device is says nothing else. Messages of several devices may share a topic, and
 * replies too.
 */
export function* checkTopicsApart({ devices, gateway }: Config): Generator<Finding> {
  const firsts = new Map<string, Used>();
  const names = new Set<string>();
  for (const [index, device] of devices.entries()) {
    // Two of one name share all of them, which is said of the name.
    if (names.has(device.name)) continue;
    names.add(device.name);
    const path = `devices[${index}]`;
    for (const used of topicsOf(device, path, { gateway: gateway.id, site: gateway.site })) {
      const first = firsts.get(used.topic);
      const isShared = first?.of === used.of && (used.of === "messages" || used.of === "replies");
      if (first === undefined) firsts.set(used.topic, used);
      else if (!isShared) {
        const message = `is ${used.topic}${used.how}, as ${first.path} is${first.how}: choose another`;
        yield conflict(used.path, message, [first.path]);
      }
    }
  }
}

function* topicsOf(
  device: DeviceConfig,
  path: string,
  identity: Readonly<Record<string, string>>,
): Generator<Used> {
  const { topic, statusTopic, commandTopic, replyTopic } = device;
  const known = { ...identity, device: device.name };
  const own = { topic: filledIn(statusTopic, known), path: `${path}.statusTopic`, how: "" };
  yield { ...own, of: "status" };
  if (commandTopic !== undefined) {
    const commands = filledIn(commandTopic, known);
    const at = { path: `${path}.commandTopic`, how: "" };
    yield { ...at, topic: commands, of: "commands" };
    yield replyTopic === undefined
      ? { ...at, topic: `${commands}/reply`, of: "replies", how: " for its replies" }
      : { topic: filledIn(replyTopic, known), of: "replies", path: `${path}.replyTopic`, how: "" };
  }
  const seen = new Set<string>();
  for (const { field, slave } of fieldsOf(device)) {
    const filled = filledIn(topic, { ...known, ...(slave === null ? {} : { slave }), field });
    const how = topic.includes("{field}") ? ` for the field ${field}` : "";
    if (!seen.has(filled)) yield { topic: filled, of: "messages", path: `${path}.topic`, how };
    seen.add(filled);
  }
}

/** The fields that are known beforehand, each with its slave; one without a name where a frame may have any. */
function fieldsOf({ modbus, decode }: DeviceConfig) {
  if (modbus !== undefined) {
    return modbus.slaves.flatMap(({ name, fields }) =>
      fields.map(({ field }) => ({ field, slave: name })),
    );
  }
  const names = decode.columns ?? decode.fields?.map(({ field }) => field) ?? ["{field}"];
  return names.map((field) => ({ field, slave: null }));
}

function reserved(path: string): Finding {
  return { path, code: "topic", message: "begins with $, which is kept for the broker itself" };
}
