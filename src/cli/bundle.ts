import { open } from "node:fs/promises";
import { errorFields, FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import { isoTime } from "../base/wall-time.ts";
import { redact } from "../config/redact.ts";
import type { Config } from "../config/schema.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { toYaml } from "../config/yaml-write.ts";
import { examine } from "../doctor/doctor.ts";
import { screen as doctorScreen } from "../doctor/screen.ts";
import { type Command, type Invocation, textOf } from "./command.ts";
import { checksOf, configuration } from "./doctor-checks.ts";
import { redactorFor } from "./file-secrets.ts";
import { machineFiles } from "./host-files.ts";
import { askGateway } from "./socket.ts";
import { type ArchivedFile, tarGzip } from "./tar-archive.ts";
import { say } from "./terminal.ts";
import { version } from "./version.ts";
import { size } from "./words.ts";

export const command: Command = {
  options: { out: { type: "string" } },
  help: `fieldgate bundle [--out FILE] [--config FILE] [--socket PATH] [--json]   one archive for support, without secrets

What the gateway, its doctor and the machine say: configuration with all defaults, status, ledger, clients, every check, the
last log lines, memory, disks, network, kernel. Passwords, keys and hashes are taken out of all of it, wherever they stand;
payloads of messages are not in it. Works with the gateway running or not.

  --out FILE   where to; default fieldgate-GATEWAY-TIME.tar.gz here. Nothing is overwritten, and only you can read it.

Examples:
  fieldgate bundle
  fieldgate bundle --out /media/usb/gw-a.tar.gz
  tar -tzf fieldgate-gw-a-*.tar.gz

Exit codes: 0 written, 1 written without what the gateway says, because none answers, 2 not written
`,

  async run(invocation) {
    const { configPath, json, rest } = invocation;
    if (rest.length > 0) throw new FieldgateError("ERR_USAGE", "bundle wants no words: --out FILE");
    const config = await loadConfig(configPath).catch(() => null);
    const clean = await redactorFor(config);
    const told = await gatewayFiles(invocation);
    const files = [
      ...(await configFiles(configPath, config)),
      ...told.files,
      ...(await doctorFiles(invocation, config)),
      ...(await machineFiles()),
    ].map((file) => ({ name: file.name, text: clean(file.text) }));
    const wallMs = systemClock.wallMs();
    const stamp = isoTime(wallMs).slice(0, 19).replaceAll(":", "");
    const folder = `fieldgate-${config?.gateway.id ?? "gateway"}-${stamp}`;
    const path = textOf(invocation, "out") ?? `${folder}.tar.gz`;
    const listed = { name: "CONTENTS", text: contents(files) };
    const bytes = await tarGzip(folder, [listed, ...files], wallMs);
    await writeNew(path, bytes);
    const what = { path, bytes: bytes.length, files: files.map(({ name }) => name) };
    say(json, { ...what, gateway: told.answered }, () => screen(what, told.answered));
    return told.answered ? 0 : 1;
  },
};

function screen(what: { path: string; bytes: number; files: readonly string[] }, isWhole: boolean) {
  const without = isWhole ? "" : "  ! no gateway answers: what it would say is not in it\n";
  return `${what.path}: ${what.files.length} files, ${size(what.bytes)}, without secrets\n${without}`;
}

function contents(files: readonly ArchivedFile[]): string {
  const lines = files.map(({ name, text }) => `${String(text.length).padStart(9)}  ${name}`);
  return `fieldgate ${version}. Passwords, keys and hashes were replaced by ***.\n\n${lines.join("\n")}\n`;
}

/** With all defaults; or, where it cannot be read, why. What cannot be parsed is left out: secrets could not be told from it. */
async function configFiles(path: string, config: Config | null): Promise<ArchivedFile[]> {
  if (config !== null) return [{ name: "config.yaml", text: toYaml(redact(config)) }];
  const { finding } = await configuration(path);
  return [{ name: "config.txt", text: `${finding.what}\n${finding.why ?? ""}\n` }];
}

const ASKED = ["status", "ledger", "clients"];

async function gatewayFiles(invocation: Invocation) {
  const files: ArchivedFile[] = [];
  let answered = true;
  for (const name of ASKED) {
    try {
      const told = await askGateway(invocation, name);
      files.push({ name: `${name}.json`, text: `${JSON.stringify(told, null, 2)}\n` });
    } catch (error) {
      answered = false;
      files.push({ name: `${name}.txt`, text: `${JSON.stringify(errorFields(error), null, 2)}\n` });
      // One that hangs is waited for once, not for each of its answers.
      if (error instanceof FieldgateError && error.code === "ERR_CONTROL") break;
    }
  }
  return { files, answered };
}

async function doctorFiles(
  { configPath, socket }: Invocation,
  config: Config | null,
): Promise<ArchivedFile[]> {
  const { finding } = await configuration(configPath);
  const checks = config === null ? [] : await checksOf(config, socket);
  const findings = [finding, ...(await examine(checks, null, systemClock))];
  const shown = findings.map(({ fix: _, ...each }) => each);
  return [
    { name: "doctor.txt", text: doctorScreen(findings, false) },
    { name: "doctor.json", text: `${JSON.stringify(shown, null, 2)}\n` },
  ];
}

async function writeNew(path: string, bytes: Buffer): Promise<void> {
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "EEXIST"
        ? "is there already: nothing is overwritten"
        : `cannot be written: ${code}; name another place with --out, a USB stick or /tmp`;
    throw new FieldgateError("ERR_FILE", `${path} ${why}`, { cause, details: { path } });
  }
}
