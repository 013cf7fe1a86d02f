#!/bin/sh
# boot.sh DIRECTORY: starts a real systemd as process 1 of namespaces of its own, on a copy of this machine's file system that is thrown away.
# It runs DIRECTORY/prepare in the copy, then DIRECTORY/probe as a unit beside fieldgate.service; what that prints is in
# DIRECTORY/out. Run it by `unshare --mount --pid --fork --cgroup --net --ipc --uts --kill-child`, in a cgroup of its own.
set -e
outside=$1
root=$outside/root
mount --make-rprivate /
mkdir -p "$root" "$outside/layers" "$outside/out"
mount -t tmpfs tmpfs "$outside/layers"
mkdir "$outside/layers/upper" "$outside/layers/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$outside/layers/upper,workdir=$outside/layers/work" "$root"
cp "$outside/probe" "$root/usr/bin/fieldgate-probe"
sh "$outside/prepare" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup" "$root/out" "$root/old"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --bind "$outside/out" "$root/out"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  mknod -m 666 "$root/dev/$device" c $(stat -c '%Hr %Lr' "/dev/$device")
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
: > "$outside/out/console"
touch "$root/dev/console"
mount --bind "$outside/out/console" "$root/dev/console"
cat > "$root/etc/systemd/system/probe.target" <<UNIT
[Unit]
Wants=fieldgate.service probe.service
UNIT
cat > "$root/etc/systemd/system/probe.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=400
ExecStart=/bin/sh /usr/bin/fieldgate-probe
StandardOutput=file:/out/probe
StandardError=file:/out/probe
ExecStopPost=+/bin/systemctl --force exit 7
UNIT
cd "$root"
# Not chroot: who is in one may make no user namespace, which PrivateUsers= does.
pivot_root . old
cd /
umount -l /old
exec env -i container=fieldgate PATH=/usr/bin:/usr/sbin:/bin:/sbin \
  /lib/systemd/systemd --system --unit=probe.target --log-target=console --show-status=no
