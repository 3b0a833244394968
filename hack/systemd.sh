#!/usr/bin/env bash
# Boots a systemd of its own, with a bus, and runs a command under it: for the tests of the systemd
# cgroup driver, on a machine that has systemd installed but not running.
#
#   hack/systemd.sh [COMMAND...]
#
# Without a command, it runs the tests `systemd::` of the integration tests, which are built first.
# The exit status is the command's.
#
# Everything happens in namespaces of its own, on a root of memory: the machine's /usr and this
# checkout are there, read-only, and nothing else of it. All units but the bus are masked; no
# parameter of the kernel can be written. Its control groups lie below one that is made for it, and
# killed and removed in the end. Run as root.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

readonly MANAGER=/lib/systemd/systemd

# Runs as process 1 of the new namespaces.
boot() {
	local checkout=$1 dir node unit
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 root /mnt
	cd /mnt
	mkdir -p usr etc/systemd/system proc sys dev run tmp var/tmp var/lib var/log root old ".$checkout"
	for dir in bin sbin lib lib32 lib64 libx32; do
		[ ! -L "/$dir" ] || cp -a "/$dir" "$dir"
	done
	mount --bind /usr usr
	mount -o remount,bind,ro usr
	mount --bind "$checkout" ".$checkout"
	mount -o remount,bind,ro ".$checkout"
	cp /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/
	echo 0123456789abcdef0123456789abcdef >etc/machine-id
	ln -s ../proc/self/mounts etc/mtab
	ln -s ../run var/run
	mount -t proc proc proc
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 dev dev
	for node in null zero full random urandom tty fuse net/tun; do
		[ -e "/dev/$node" ] || continue
		mkdir -p "dev/$(dirname "$node")"
		touch "dev/$node"
		mount --bind "/dev/$node" "dev/$node"
	done
	touch dev/console
	mount --bind /dev/null dev/console
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=666,gid=5,mode=620 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	ln -s /proc/self/fd/0 dev/stdin
	ln -s /proc/self/fd/1 dev/stdout
	ln -s /proc/self/fd/2 dev/stderr
	mount -t tmpfs -o mode=1777 tmp tmp
	mount -t tmpfs -o mode=755 run run
	for unit in /lib/systemd/system/*.{service,socket,mount,automount,timer,path,swap}; do
		unit=${unit##*/}
		case $unit in
		dbus.s* | '*'*) ;;
		*@.*) ;;
		*) ln -s /dev/null "etc/systemd/system/$unit" ;;
		esac
	done
	printf '[Unit]\nRequires=dbus.socket\nAfter=dbus.socket\nAllowIsolate=yes\nDefaultDependencies=no\n' \
		>etc/systemd/system/casemate.target
	pivot_root . old
	cd /
	umount -l /old
	# systemd learns from this that it has no machine to set up.
	exec env -i container=casemate PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		"$MANAGER" --system --unit=casemate.target --log-target=null --show-status=no
}

if [ "${1-}" = --boot ]; then
	boot "$2"
fi

need_root
[ -x "$MANAGER" ] || fail "systemd is not installed"
[ -x /usr/bin/dbus-daemon ] || fail "dbus is not installed"

if [ $# = 0 ]; then
	need_rust
	binary=$(cargo test --locked --features fault --test integration --no-run --message-format=json 2>/dev/null |
		sed -n 's/.*"executable":"\([^"]*integration-[^"]*\)".*/\1/p' | tail -n 1)
	[ -n "$binary" ] || fail "the tests cannot be built"
	set -- "$binary" systemd:: --test-threads 2
fi

v2=/sys/fs/cgroup
[ -e $v2/cgroup.controllers ] || v2=/sys/fs/cgroup/unified
[ -e $v2/cgroup.controllers ] || fail "no cgroup v2 at /sys/fs/cgroup or /sys/fs/cgroup/unified"
group=$v2/casemate-systemd-$$
mkdir "$group"
outer='' manager=''

# shellcheck disable=SC2317 # the trap below calls it
clean_up() {
	echo 1 >"$group/cgroup.kill" || true
	[ -z "$outer" ] || wait "$outer" 2>/dev/null || true
	for _ in $(seq 100); do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d "$group" ] || break
		sleep 0.05
	done
}
trap clean_up EXIT

# The namespaces are made from inside the group, so that it is the root of what they see.
(
	echo "$BASHPID" >"$group/cgroup.procs"
	exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts --net --propagation private \
		"$PWD/hack/systemd.sh" --boot "$PWD" >/dev/null 2>&1 </dev/null
) &
outer=$!

for _ in $(seq 100); do
	manager=$(pgrep -P "$(pgrep -P $$ -x unshare || echo "$outer")" -f "$MANAGER" || true)
	[ -z "$manager" ] || [ ! -S "/proc/$manager/root/run/dbus/system_bus_socket" ] || break
	sleep 0.1
done
[ -n "$manager" ] || fail "systemd does not come up"

status=0
nsenter -t "$manager" -m -p -i -u -n -C --root --wd=/ \
	systemd-run --quiet --wait --pipe --collect --property=Delegate=no \
	--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin -- "$@" || status=$?
exit $status
