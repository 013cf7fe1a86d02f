import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import { bootSystemd, missingForSystemd } from "../support/booted-systemd.ts";
import { verdicts } from "../support/verdicts.ts";

const WATCHDOG_SECONDS = 8;

/** The copy of the machine gets the bundle where a package would put it, and a configuration; no directory of secrets. */
const PREPARE = `
set -e
root=$1
mkdir -p $root/usr/lib/fieldgate/dist $root/usr/lib/fieldgate/node_modules $root/etc/fieldgate
mount --bind ${resolve("dist")} $root/usr/lib/fieldgate/dist
mount --bind ${resolve("node_modules")} $root/usr/lib/fieldgate/node_modules
cp ${resolve("test/support/wall-clock.mjs")} $root/usr/lib/fieldgate/
cp --remove-destination ${process.execPath} $root/usr/bin/node
printf '#!/bin/sh\\nexec /usr/bin/node /usr/lib/fieldgate/dist/fieldgate.js "$@"\\n' > $root/usr/bin/fieldgate
chmod 755 $root/usr/bin/fieldgate
cp ${resolve("systemd/fieldgate.service")} $root/etc/systemd/system/
mkdir -p $root/etc/systemd/system/fieldgate.service.d
printf '[Service]\\nWatchdogSec=${WATCHDOG_SECONDS}\\n' > $root/etc/systemd/system/fieldgate.service.d/test.conf
printf 'gateway: { id: gw-a, site: s }\\nstore: { path: /var/lib/fieldgate }\\nlisteners: [{ name: lan, host: 127.0.0.1, port: 1883 }]\\ncontrol: { socket: /run/fieldgate/control.sock }\\n' > $root/etc/fieldgate/fieldgate.yaml
grep -q '^fieldgate:' $root/etc/passwd || chroot $root useradd --system --no-create-home fieldgate
chroot $root useradd --no-create-home --groups fieldgate technician
chroot $root useradd --no-create-home stranger
`;

/** Says what became of the unit, a line a step: its state, its restarts, its line of status. */
const PROBE = `
ip link set lo up
pid() { systemctl show fieldgate -p MainPID --value; }
told() { echo "$1: $(systemctl is-active fieldgate), $(systemctl show fieldgate -p NRestarts --value) restarts, $(systemctl show fieldgate -p StatusText --value)"; }
# The process first: the state of a moment before may be that of the old one, whose end is known by now.
active() { for i in $(seq 1 400); do new=$(pid); [ "$new" != 0 ] && [ "$new" != "$1" ] && [ "$(systemctl is-active fieldgate)" = active ] && return; sleep 0.3; done; }
active 0; told started
fieldgate status --socket /run/fieldgate/control.sock > /dev/null; echo "status exits with $?"
echo "socket $(stat -c %a /run/fieldgate/control.sock), store $(stat -c %a /var/lib/fieldgate)"
as() { setpriv --reuid=$1 --regid=$1 --init-groups fieldgate status --socket /run/fieldgate/control.sock 2>&1 | grep -o "gw-a at s\\|you may not use the socket"; }
for user in fieldgate technician stranger; do echo "as $user: $(as $user)"; done
old=$(pid); kill -KILL $old; active $old; told killed
old=$(pid); kill -STOP $old; active $old; told hung
old=$(pid); sed 's/id: gw-a/id: gw-b/' /etc/fieldgate/fieldgate.yaml > /root/other.yaml
fieldgate config apply /root/other.yaml --confirm 5m > /dev/null; echo "apply exits with $?"
fieldgate config confirm > /dev/null; echo "confirm exits with $?"
# Longer than systemd waits for a sign of life.
sleep ${WATCHDOG_SECONDS + 4}
[ "$(pid)" = "$old" ] && told "restarted within the process, as $(fieldgate status --json | grep -o 'gw-b' | head -1)"
# A Raspberry Pi in trouble: its files where the kernel has them, on a machine without a battery for its clock.
board=$(mktemp -d); mkdir -p $board/class/thermal/thermal_zone0 $board/soc/soc:firmware
says() { echo $2 > $board/class/thermal/thermal_zone0/temp; echo $3 > $board/soc/soc:firmware/get_throttled; printf "MemTotal: 500000 kB\nMemAvailable: $1 kB\n" > $board/meminfo; }
mount --bind $board/class /sys/class; mount --bind $board /sys/devices/platform; touch $board/meminfo; mount --bind $board/meminfo /proc/meminfo
systemctl start dbus.service
doctor() { name=$1; shift; echo "doctor $name: $(fieldgate doctor --json "$@")"; }
says 200000 51234 0; doctor well --only machine
says 20000 78000 50000; doctor "has been in trouble" --only machine
says 200000 86000 50005; doctor "in trouble" --only machine
doctor clock --only clock
cd /usr/lib/fieldgate; echo "kernel: $(node -e 'console.log(require("koffi").load(null).func("int adjtimex(void *)")(Buffer.alloc(512)) === 5 ? "runs free" : "synchronised")')"
# As long ago as that makes it 1970.
echo -$(date +%s)000 > $board/wall
FIELDGATE_TEST_WALL=$board/wall NODE_OPTIONS=--import=/usr/lib/fieldgate/wall-clock.mjs doctor "in 1970" --only clock.plausible
systemctl stop fieldgate; echo "stopped: $(systemctl show fieldgate -p Result --value)"
`;

describe("the unit under a real systemd", () => {
  it("starts in its sandbox, and again after it was killed and after its event loop stood still; a new configuration is no new process; its doctor knows a board in trouble", async (t) => {
    const missing = await missingForSystemd();
    if (missing !== null) {
      t.skip(missing);
      return;
    }
    const { told, console } = await bootSystemd(PREPARE, PROBE);
    const has = (line: RegExp) => assert.match(told, line, console);
    has(/^started: active, 0 restarts, primary, uplink none, 0 queued, 0 clients$/m);
    has(/^status exits with 0$/m);
    has(/^socket 660, store 700$/m);
    has(
      /^as fieldgate: gw-a at s\nas technician: gw-a at s\nas stranger: you may not use the socket$/m,
    );
    has(/^killed: active, 1 restarts, primary/m);
    has(/^hung: active, 2 restarts, primary/m);
    has(/^apply exits with 0$/m);
    has(/^confirm exits with 0$/m);
    has(/^restarted within the process, as gw-b: active, 2 restarts, primary/m);
    const asked = (name: string) => {
      const [, json = "{}"] = new RegExp(`^doctor ${name}: (.*)$`, "m").exec(told) ?? [];
      return verdicts(JSON.parse(json).findings ?? []);
    };
    const machine = (memory: string, temperature: string, supply: string, throttling: string) => {
      const each = Object.entries({ memory, temperature, supply, throttling });
      return Object.fromEntries(each.map(([id, verdict]) => [`machine.${id}`, verdict]));
    };
    assert.deepEqual(asked("well"), machine("fine", "fine", "fine", "fine"), console);
    const once = machine("warning", "warning", "warning", "warning");
    assert.deepEqual(asked("has been in trouble"), once);
    assert.deepEqual(asked("in trouble"), machine("fine", "critical", "critical", "warning"));
    const isSynchronised = /^kernel: synchronised$/m.test(told);
    assert.deepEqual(asked("clock"), {
      "clock.jump": "fine",
      "clock.plausible": "fine",
      "clock.synchronised": isSynchronised ? "fine" : "warning",
      "clock.rtc": isSynchronised ? "fine" : "warning",
    });
    assert.deepEqual(asked("in 1970"), { "clock.plausible": "critical" });
    has(/^stopped: success$/m);
  });
});
