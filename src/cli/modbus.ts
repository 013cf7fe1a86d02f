import { FieldgateError } from "../base/errors.ts";
import type { ModbusTold } from "../gateway-devices.ts";
import { type Command, type Invocation, isGiven } from "./command.ts";
import { tellGateway } from "./socket.ts";
import { paint, say } from "./terminal.ts";

export const command: Command = {
  actions: ["read", "write"],
  options: { "dry-run": { type: "boolean" } },
  help: `fieldgate modbus read DEVICE[/SLAVE] TABLE REGISTER [COUNT]              ask a slave, beside the plan
fieldgate modbus write DEVICE[/SLAVE] coil REGISTER on|off [--dry-run]    set a coil
fieldgate modbus write DEVICE[/SLAVE] registers REGISTER VALUE... [--dry-run]

The running gateway asks, between two requests of its plan: the line stays its own. TABLE is coil, discrete, holding or
input; REGISTER counts from 0, as in the configuration; a VALUE is 0 to 65535, or 0x0000 to 0xffff. Without SLAVE the only
one is meant.

  --dry-run   show the bytes of the request, and send nothing

Examples:
  fieldgate modbus read meters/press-7 holding 0 4
  fieldgate modbus write meters/press-7 registers 100 0x0001 --dry-run
  fieldgate modbus write valve coil 3 on

Exit codes: 0 answered, or shown; 1 no answer; 2 refused; 3 no gateway answers
`,

  async run(invocation) {
    const [action, target = "", table = "", register = "", ...values] = invocation.rest;
    if ((action !== "read" && action !== "write") || register === "") {
      throw new FieldgateError(
        "ERR_USAGE",
        "modbus knows read and write; see fieldgate modbus --help",
      );
    }
    const [device, slave = null] = target.split("/", 2);
    const place = { device, slave, register: numberIn(register) };
    return action === "read"
      ? read(invocation, { ...place, table, count: numberIn(values[0] ?? "1") }, values.length)
      : write(invocation, { ...place, ...written(table, values) });
  },
};

async function read(invocation: Invocation, asked: object, words: number): Promise<number> {
  if (words > 1) throw new FieldgateError("ERR_USAGE", "modbus read wants one COUNT");
  const told = (await tellGateway(invocation, "modbus/read", asked)) as ModbusTold;
  const { register } = asked as { readonly register: number };
  say(invocation.json, told, () =>
    told.result === "answer"
      ? told.values.map((value, i) => valueLine(register + i, value)).join("")
      : failure(told),
  );
  return exitOf(told);
}

async function write(invocation: Invocation, asked: object): Promise<number> {
  const dryRun = isGiven(invocation, "dry-run");
  const told = (await tellGateway(invocation, "modbus/write", { ...asked, dryRun })) as ModbusTold;
  const bytes = told.request.replace(/..(?=.)/g, "$& ");
  say(invocation.json, told, () => {
    if (told.result === "not sent") return `would send ${bytes} to the slave; nothing was sent\n`;
    return told.result === "answer" ? `written: the slave confirms ${bytes}\n` : failure(told);
  });
  return exitOf(told);
}

function valueLine(register: number, value: number): string {
  const hex = value.toString(16).padStart(4, "0");
  return `${String(register).padStart(6)}  ${String(value).padStart(6)}  0x${hex}\n`;
}

function failure({ result, reason }: ModbusTold): string {
  return paint("red", `${result === "timeout" ? "no answer" : "refused"}: ${reason}`).concat("\n");
}

function exitOf({ result }: ModbusTold): number {
  if (result === "timeout") return 1;
  return result === "refused" ? 2 : 0;
}

function written(table: string, values: readonly string[]): object {
  const [only] = values;
  if (table === "coil" && values.length === 1 && (only === "on" || only === "off")) {
    return { coil: only === "on" };
  }
  if (table === "registers" && values.length > 0) return { values: values.map(numberIn) };
  const known = "coil REGISTER on|off, and registers REGISTER VALUE...";
  throw new FieldgateError("ERR_USAGE", `modbus write knows ${known}`);
}

function numberIn(text: string): number {
  if (/^(\d{1,6}|0x[0-9a-f]{1,4})$/i.test(text)) return Number(text);
  throw new FieldgateError("ERR_USAGE", `${JSON.stringify(text)} is no number of a register`);
}
