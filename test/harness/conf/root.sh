#!/bin/sh
# root.sh DIR DEBS COMMAND...   runs as the first process of a mount and a process namespace
#
# Gives COMMAND a root of its own: this machine's files below those of the packages in DEBS and
# those in DIR/files. What it writes is gone with it, but for what lies in DIR, which it shares with the
# outside under the same name. The network is the machine's.
set -e
dir=$1 debs=$2
shift 2
# may COMMAND: exit code 77 says that such mounts are not allowed here
may() { "$@" || exit 77; }
# Mounts made here stay here.
may mount --make-rprivate /
t=$dir/ns
mkdir "$t"
# The upper layer must not lie in the lower one.
may mount -t tmpfs tmpfs "$t"
mkdir "$t/upper" "$t/work" "$t/root"
may mount -t overlay overlay -o "lowerdir=/,upperdir=$t/upper,workdir=$t/work" "$t/root"
root=$t/root
for deb in "$debs"/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" -x --keep-directory-symlink
done
tar -C "$dir/files" -c . | tar -C "$root" -x --keep-directory-symlink --no-same-owner
may mount --rbind /dev "$root/dev"
may mount -t proc proc "$root/proc"
mkdir -p "$root$dir"
may mount --bind "$dir" "$root$dir"
# Not by exec: a set-user-ID program would forget that it is to end with the test, and with this shell
# all processes end.
chroot "$root" "$@" &
wait $!
