#!/bin/sh
# armhf-make.sh ROOT CACHE: a root file system of Debian 13 for 32-bit ARM, with its nodejs. The packages are unpacked by this machine, as if
# they had been configured: emulated, that would take minutes, and what is tried here is what comes on top. CACHE keeps what was fetched.
set -e
root=$1 cache=$2
mkdir -p "$cache"
debootstrap --foreign --arch=armhf --variant=minbase --cache-dir="$cache" \
  --include=nodejs,adduser,init-system-helpers trixie "$root" http://deb.debian.org/debian
: > "$root/var/lib/dpkg/status"
for package in "$root"/var/cache/apt/archives/*.deb; do
  dpkg-deb --extract "$package" "$root"
  dpkg-deb --field "$package" | sed '/^Package: /a Status: install ok installed' >> "$root/var/lib/dpkg/status"
  echo >> "$root/var/lib/dpkg/status"
  # dpkg wants to know the files of each; none is to be replaced here.
  name=$(dpkg-deb --field "$package" Package)
  : > "$root/var/lib/dpkg/info/$name.list"
done
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
ln -sf mawk "$root/usr/bin/awk"
rm -rf "$root/var/cache/apt/archives" "$root/debootstrap"
