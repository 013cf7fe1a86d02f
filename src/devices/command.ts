import type { DeviceWrite } from "./device.ts";

/** What a command message asks for. docs/devices.md has the form. */
export interface Command {
  /** Of whoever asks: comes back in the reply. */
  readonly id: string;
  /** It is not written later than this after it came; null for the configuration's. */
  readonly deadlineMs: number | null;
  readonly write: DeviceWrite;
}

/** Why a message is no command. */
export type CommandRefusal = "not-json" | "no-id" | "not-a-command" | "deadline-is-no-number";

const ID_LENGTH_MAX = 64;
/** Registers of one write [MODBUS V1.1b3, 6.12]. */
const REGISTERS_MAX = 123;

/** Reads a command message. `id` is null where it has none that can come back. Pure. */
export function parseCommand(
  payload: Uint8Array,
): Command | { readonly id: string | null; readonly refusal: CommandRefusal } {
  const said = parsed(payload);
  if (said === null) return { id: null, refusal: "not-json" };
  const { id } = said;
  if (typeof id !== "string" || id === "" || id.length > ID_LENGTH_MAX) {
    return { id: null, refusal: "no-id" };
  }
  const { deadlineMs = null } = said;
  if (deadlineMs !== null && !(typeof deadlineMs === "number" && deadlineMs > 0)) {
    return { id, refusal: "deadline-is-no-number" };
  }
  const write = writeOf(said);
  return write === null ? { id, refusal: "not-a-command" } : { id, deadlineMs, write };
}

type Said = Readonly<Record<string, unknown>>;

function parsed(payload: Uint8Array): Said | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString());
    return typeof value === "object" && value !== null ? (value as Said) : null;
  } catch {
    return null;
  }
}

/** Exactly one of text, hex, coil and register. */
function writeOf(said: Said): DeviceWrite | null {
  const kinds = ["text", "hex", "coil", "register"].filter((key) => key in said);
  if (kinds.length !== 1) return null;
  const { text, hex, slave = null } = said;
  if (slave !== null && typeof slave !== "string") return null;
  if (typeof text === "string") return { is: "frame", content: Buffer.from(text) };
  if (typeof hex === "string") {
    // Not a repeated group: of a long text it would need more stack than there is.
    const isHex = hex.length % 2 === 0 && !/[^0-9A-Fa-f]/.test(hex);
    return isHex ? { is: "frame", content: Buffer.from(hex, "hex") } : null;
  }
  if (isAddress(said["coil"]) && typeof said["value"] === "boolean") {
    return { is: "coil", slave, register: said["coil"], on: said["value"] };
  }
  if ("value" in said && "values" in said) return null;
  const { register, value, values = [value] } = said;
  if (!isAddress(register) || !Array.isArray(values) || values.length === 0) return null;
  const fits = values.length <= REGISTERS_MAX && register + values.length <= 65_536;
  if (!fits || !values.every(isRegister)) return null;
  return { is: "registers", slave, register, values: values.map((each) => each & 0xffff) };
}

function isAddress(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;
}

/** Sixteen bits, with or without a sign. */
function isRegister(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= -32_768 && Number(value) <= 65_535;
}
