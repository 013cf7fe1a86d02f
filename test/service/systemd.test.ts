import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";

const BOOT_MS_MAX = 240_000;
const WATCHDOG_SECONDS = 8;
const NAMESPACES = ["--mount", "--pid", "--fork", "--cgroup", "--net", "--ipc", "--uts"];

/** The copy of the machine gets the bundle where a package would put it, and a configuration; no directory of secrets. */
const PREPARE = `
set -e
root=$1
mkdir -p $root/usr/lib/fieldgate/dist $root/usr/lib/fieldgate/node_modules $root/etc/fieldgate
mount --bind ${resolve("dist")} $root/usr/lib/fieldgate/dist
mount --bind ${resolve("node_modules")} $root/usr/lib/fieldgate/node_modules
cp --remove-destination ${process.execPath} $root/usr/bin/node
printf '#!/bin/sh\\nexec /usr/bin/node /usr/lib/fieldgate/dist/fieldgate.js "$@"\\n' > $root/usr/bin/fieldgate
chmod 755 $root/usr/bin/fieldgate
cp ${resolve("systemd/fieldgate.service")} $root/etc/systemd/system/
mkdir -p $root/etc/systemd/system/fieldgate.service.d
printf '[Service]\\nWatchdogSec=${WATCHDOG_SECONDS}\\n' > $root/etc/systemd/system/fieldgate.service.d/test.conf
printf 'gateway: { id: gw-a, site: s }\\nstore: { path: /var/lib/fieldgate }\\nlisteners: [{ name: lan, host: 127.0.0.1, port: 1883 }]\\ncontrol: { socket: /run/fieldgate/control.sock }\\n' > $root/etc/fieldgate/fieldgate.yaml
grep -q '^fieldgate:' $root/etc/passwd || chroot $root useradd --system --no-create-home fieldgate
`;

/** Says what became of the unit, a line a step: its state, its restarts, its line of status. */
const PROBE = `
ip link set lo up
pid() { systemctl show fieldgate -p MainPID --value; }
told() { echo "$1: $(systemctl is-active fieldgate), $(systemctl show fieldgate -p NRestarts --value) restarts, $(systemctl show fieldgate -p StatusText --value)"; }
active() { for i in $(seq 1 400); do [ "$(systemctl is-active fieldgate)" = active ] && [ "$(pid)" != "$1" ] && return; sleep 0.3; done; }
active 0; told started
fieldgate status --socket /run/fieldgate/control.sock > /dev/null; echo "status exits with $?"
echo "socket $(stat -c %a /run/fieldgate/control.sock), store $(stat -c %a /var/lib/fieldgate)"
old=$(pid); kill -KILL $old; active $old; told killed
old=$(pid); kill -STOP $old; active $old; told hung
systemctl stop fieldgate; echo "stopped: $(systemctl show fieldgate -p Result --value)"
`;

describe("the unit under a real systemd", () => {
  it("starts in its sandbox, and again after it was killed and after its event loop stood still", async (t) => {
    const missing = await missingForSystemd();
    if (missing !== null) {
      t.skip(missing);
      return;
    }
    const { told, console } = await boot();
    const has = (line: RegExp) => assert.match(told, line, console);
    has(/^started: active, 0 restarts, primary, uplink none, 0 queued, 0 clients$/m);
    has(/^status exits with 0$/m);
    has(/^socket 660, store 700$/m);
    has(/^killed: active, 1 restarts, primary/m);
    has(/^hung: active, 2 restarts, primary/m);
    has(/^stopped: success$/m);
  });
});

async function boot(): Promise<{ readonly told: string; readonly console: string }> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-systemd-"));
  try {
    await writeFile(join(directory, "prepare"), PREPARE);
    await writeFile(join(directory, "probe"), PROBE);
    const script = resolve("test/service/boot.sh");
    const argv = [...NAMESPACES, "--kill-child", "sh", script, directory];
    const options = { timeout: BOOT_MS_MAX, killSignal: "SIGKILL" as const };
    const said = await new Promise<string>((done) => {
      execFile("unshare", argv, options, (_error, stdout, stderr) => done(stdout + stderr));
    });
    const read = (name: string) => readFile(join(directory, "out", name), "utf8").catch(() => "");
    return { told: await read("probe"), console: `${said}${await read("console")}` };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Why no systemd can be booted on this machine; null when one can. */
async function missingForSystemd(): Promise<string | null> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "root on Linux is needed";
  for (const program of ["/lib/systemd/systemd", "/usr/sbin/pivot_root", "/sbin/ip"]) {
    const isThere = await access(program).then(
      () => true,
      () => false,
    );
    if (!isThere) return `not installed: ${program}`;
  }
  const { status, stderr } = spawnSync("unshare", [...NAMESPACES, "true"], { encoding: "utf8" });
  return status === 0 ? null : `namespaces are not permitted: ${stderr.trim()}`;
}
