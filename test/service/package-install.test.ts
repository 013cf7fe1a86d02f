import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { bootSystemd, missingForSystemd } from "../support/booted-systemd.ts";

const run = promisify(execFile);
const { version } = JSON.parse(await readFile("package.json", "utf8"));
const OLDER = "0.0.1~older";

/** Debian's own tools in the copy of the machine, before it boots. A second gateway has a store that only purging may take. */
const prepare = (packages: string) => `
set -e
root=$1
mkdir -p $root/packages
cp ${packages}/fieldgate_*_amd64.deb $root/packages/
rm -f $root/usr/sbin/policy-rc.d
chroot $root dpkg --install /packages/fieldgate_${OLDER}_amd64.deb
mkdir -p $root/var/lib/fieldgate-b
# A log on the disk would keep the root file system from being made read-only.
mkdir -p $root/etc/systemd/journald.conf.d
printf '[Journal]\\nStorage=volatile\\n' > $root/etc/systemd/journald.conf.d/test.conf
`;

/** Says what became of it, a line a step. */
const PROBE = `
ip link set lo up
pid() { systemctl show fieldgate -p MainPID --value; }
active() { for i in $(seq 1 100); do new=$(pid); [ "$new" != 0 ] && [ "$new" != "$1" ] && [ "$(systemctl is-active fieldgate)" = active ] && return; sleep 0.3; done; }
told() { echo "$1: $(systemctl is-active fieldgate), $(systemctl is-enabled fieldgate), version $(dpkg-query -W -f '\${Version}' fieldgate), node $(/proc/$(pid)/exe --version)"; }
id() { fieldgate status --json | grep -o -m1 'kept-by-upgrade' | head -1; }
retained() { fieldgate retained --json | grep -o 'through upgrade' | head -1; }
there() { [ -e "$1" ] && echo "$2" || echo "no $2"; }
active 0; told older
echo "owned: $(stat -c '%U:%G %a' /etc/fieldgate /etc/fieldgate/fieldgate.yaml /etc/fieldgate/secrets | tr '\n' ' ' | sed 's/ $//')"
groups fieldgate | grep -o 'dialout' | sed 's/^/in /'
cache=/usr/lib/fieldgate/dist/compile-cache
[ "$(find $cache -type f | wc -l)" -gt 20 ] && [ -z "$(find $cache ! -perm -o=r)" ] && [ -z "$(find $cache ! -user root)" ] && echo "compiled for all to read"
fieldgate pub upgrade/test "through upgrade" --retain
echo 'gateway: { id: kept-by-upgrade, site: s }' >> /etc/fieldgate/fieldgate.yaml
touch /etc/fieldgate/b.yaml
old=$(pid)
dpkg --install /packages/fieldgate_${version}_amd64.deb < /dev/null 2>&1
active $old; told newer
[ "$(pid)" != "$old" ] && echo "it is another process"
echo "id $(id), retained $(retained)"

systemctl stop fieldgate
mount --bind /var/lib/fieldgate /var/lib/fieldgate; mount -t tmpfs tmpfs /var/tmp; mount -o remount,bind,ro /
systemctl start fieldgate; active 0
echo "read-only: $(systemctl is-active fieldgate), retained $(retained), $(LC_ALL=C touch /usr/x 2>&1 | grep -o 'Read-only file system')"
systemctl enable --runtime --quiet --now fieldgate-backup.timer; systemctl start fieldgate-backup.service
echo "read-only backup: timer $(systemctl is-active fieldgate-backup.timer), $(systemctl show fieldgate-backup -p Result --value), $(ls /var/lib/fieldgate/backups | wc -l) there"
sed 's/kept-by-upgrade/tried/' /etc/fieldgate/fieldgate.yaml > /run/new.yaml
echo "read-only apply: $(fieldgate config apply /run/new.yaml --confirm 5m | grep -o 'config confirm cannot write .*:'), $(fieldgate status --json | grep -o -m1 tried | head -1)"
echo "read-only confirm: $(fieldgate config confirm 2>&1 | grep -o 'cannot be written.*EROFS')"
systemctl stop fieldgate-backup.timer fieldgate; rm -rf /var/lib/fieldgate/backups
umount /var/tmp /var/lib/fieldgate; mount -o remount,bind,rw /
systemctl start fieldgate; active 0

systemctl enable --quiet --now fieldgate-backup.timer; systemctl start fieldgate-backup.service
echo "backup: timer $(systemctl is-active fieldgate-backup.timer), $(systemctl show fieldgate-backup -p Result --value), $(ls /var/lib/fieldgate/backups | wc -l) there"
fieldgate retained --json > /dev/null; fieldgate pub upgrade/test "after the backup" --retain > /dev/null
systemctl stop fieldgate; mv /var/lib/fieldgate/journal /var/lib/fieldgate/journal-before
cp -a /var/lib/fieldgate/backups/2* /var/lib/fieldgate/journal; chown -R fieldgate:fieldgate /var/lib/fieldgate/journal
systemctl start fieldgate; active 0
echo "put back: $(systemctl is-active fieldgate), retained $(retained)"
dpkg --remove fieldgate 2>&1
echo "removed: $(systemctl is-active fieldgate), $(there /usr/bin/fieldgate program), $(there /etc/fieldgate/fieldgate.yaml configuration), $(there /var/lib/fieldgate/journal store)"
ls -R /usr/lib/fieldgate 2>/dev/null
dpkg --install /packages/fieldgate_${version}_amd64.deb < /dev/null 2>&1
active 0
echo "installed again: $(systemctl is-active fieldgate), id $(id), retained $(retained)"
dpkg --purge fieldgate 2>&1
echo "purged: $(systemctl is-active fieldgate), $(there /usr/bin/fieldgate program), $(there /etc/fieldgate configuration), $(there /var/lib/fieldgate store), $(there /var/lib/fieldgate-b 'store of b'), $(getent passwd fieldgate > /dev/null && echo user || echo 'no user')"
`;

describe("the Debian package under a real systemd", () => {
  it("installs, upgrades, runs where nothing may be written, and goes without a trace", async (t) => {
    const missing = await missingForSystemd();
    if (missing !== null) return t.skip(missing);
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-install-test-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    for (const each of [OLDER, version]) {
      const argv = ["--fast", "--out", directory, "--version", each, "amd64"];
      await run(process.execPath, ["scripts/package.mjs", ...argv]);
    }
    const { told, console } = await bootSystemd(prepare(directory), PROBE);
    const has = (line: RegExp) => assert.match(told, line, console);
    has(/^older: active, enabled, version 0\.0\.1~older, node v24\./m);
    has(/^owned: root:fieldgate 750 root:fieldgate 640 root:root 700$/m);
    has(/^in dialout$/m);
    has(/^compiled for all to read$/m);
    has(
      new RegExp(
        `^newer: active, enabled, version ${version.replaceAll(".", "\\.")}, node v24\\.`,
        "m",
      ),
    );
    has(/^it is another process$/m);
    has(/^id kept-by-upgrade, retained through upgrade$/m);
    has(/^read-only: active, retained through upgrade, Read-only file system$/m);
    has(/^read-only backup: timer active, success, 1 there$/m);
    has(/^read-only apply: config confirm cannot write .*, tried$/m);
    has(/^read-only confirm: cannot be written.*EROFS$/m);
    has(/^backup: timer active, success, 1 there$/m);
    has(/^put back: active, retained through upgrade$/m);
    has(/^removed: inactive, no program, configuration, store$/m);
    has(/^installed again: active, id kept-by-upgrade, retained through upgrade$/m);
    has(/^purged: inactive, no program, no configuration, no store, no store of b, no user$/m);
  });
});
