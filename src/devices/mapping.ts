import { FieldgateError } from "../base/errors.ts";
import type { DeviceConfig } from "../config/schema.ts";
import type { Message } from "../mqtt/message.ts";
import type { Decoded, Reading } from "./decode/reading.ts";

/** Who speaks: fills {gateway} and {site}. */
export interface Identity extends Readonly<Record<string, string | undefined>> {
  readonly gateway: string;
  readonly site: string;
  /** The Modbus slave, where the device is a line of them: fills {slave}. */
  readonly slave?: string;
}

/** Why readings that were understood cannot be published. */
export type MappingRefusal = "topic";

type Published = Exclude<Decoded, { readonly is: "refused" }>;

/** Meaning to messages, in order; or why none of them can be published. */
export type Mapper = (decoded: Published) => readonly Message[] | MappingRefusal;

type Mapped = Pick<
  DeviceConfig,
  | "name"
  | "topic"
  | "qos"
  | "retain"
  | "decode"
  | "modbus"
  | "statusTopic"
  | "commandTopic"
  | "replyTopic"
>;

const TOPIC_BYTES_MAX = 65_535;

/**
 * Topic and payload by the template. Without {field} a frame is one message: the bytes themselves, or
 * {"values": {…}, "units": {…}}. With {field} each reading is a message {"value": …, "unit": …}.
 * ERR_CONFIG_INVALID for a template that cannot be a topic. docs/devices.md has examples.
 */
export function mapperFor(config: Mapped, identity: Identity): Mapper {
  const template = templateOf(config, identity);
  const message = (topic: string, payload: Uint8Array): Message => {
    return { topic, payload, qos: config.qos, retain: config.retain, properties: null };
  };
  if (!template.includes("{field}")) {
    return (decoded) => [
      message(
        template,
        decoded.is === "payload" ? decoded.payload : json(together(decoded.readings)),
      ),
    ];
  }
  const own = ownTopics(config, identity);
  return (decoded) => {
    if (decoded.is === "payload") return "topic";
    const messages: Message[] = [];
    for (const { field, value, unit } of decoded.readings) {
      const topic = fieldTopic(template, field);
      if (topic === null || own.has(topic)) return "topic";
      messages.push(message(topic, json(unit === undefined ? { value } : { value, unit })));
    }
    return messages;
  };
}

function templateOf(config: Mapped, identity: Identity): string {
  const known = { ...identity, device: config.name, field: "{field}" };
  const template = topicOf(config.topic, known);
  if (/[+#\0]/.test(template)) throw invalid("a topic has no wildcards", config);
  if (template.startsWith("$")) throw invalid("topics with $ are the broker's own", config);
  const perField = template.includes("{field}");
  const noFields = config.decode.type === "raw" || config.decode.type === "text";
  if (perField && noFields && config.modbus === undefined) {
    throw invalid(`decode ${config.decode.type} has no fields for {field}`, config);
  }
  return template;
}

/** Those of a device's status, commands and replies: a field that is called "command" is none. */
function ownTopics(config: Mapped, identity: Identity): ReadonlySet<string> {
  const { statusTopic, commandTopic, replyTopic = `${commandTopic}/reply`, name } = config;
  const templates =
    commandTopic === undefined ? [statusTopic] : [statusTopic, commandTopic, replyTopic];
  return new Set(templates.map((each) => topicOf(each, { ...identity, device: name })));
}

/** A topic by its template. ERR_CONFIG_INVALID for a placeholder that is not `known`. */
export function topicOf(
  template: string,
  known: Readonly<Record<string, string | undefined>>,
): string {
  return template.replaceAll(/\{([^}]*)\}/g, (placeholder, name: string) => {
    const value = Object.hasOwn(known, name) ? known[name] : undefined;
    if (value === undefined) {
      throw new FieldgateError(
        "ERR_CONFIG_INVALID",
        `${template}: unknown placeholder ${placeholder}`,
        {
          details: { topic: template },
        },
      );
    }
    return name === "field" ? value : encodeLevel(value);
  });
}

/**
 * The topic of a field; null when no topic can hold it. What must not stand within a topic level is written as in a
 * URL (`/` as %2F), so that two fields never share a topic and the field can be read back.
 */
function fieldTopic(template: string, field: string): string | null {
  if (field === "" || !field.isWellFormed()) return null;
  const topic = template.replaceAll("{field}", () => encodeLevel(field));
  if (topic.startsWith("$") || Buffer.byteLength(topic) > TOPIC_BYTES_MAX) return null;
  return topic;
}

function encodeLevel(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replaceAll(/[%+#/\u0000-\u001f\u007f]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

function together(readings: readonly Reading[]): object {
  const values = Object.fromEntries(readings.map(({ field, value }) => [field, value]));
  const withUnit = readings.filter((reading) => reading.unit !== undefined);
  if (withUnit.length === 0) return { values };
  return { values, units: Object.fromEntries(withUnit.map(({ field, unit }) => [field, unit])) };
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function invalid(what: string, config: Mapped): FieldgateError {
  return new FieldgateError("ERR_CONFIG_INVALID", `device ${config.name}: topic: ${what}`, {
    details: { device: config.name, topic: config.topic },
  });
}
