# Runs inside the virtual machine that hack/vm.sh boots, as the only job of its systemd.
# shellcheck shell=sh disable=SC2154 # settings come from the file that is read first
. /casemate/settings
cd "$directory" || exit 1
export HOME=/root TMPDIR=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

echo "== $(uname -r), $(systemctl --version | head -n 1), $(criu --version 2>/dev/null | head -n 1)"
echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "security modules: $(cat /sys/kernel/security/lsm)"
modprobe -a overlay fuse loop dummy unix_diag inet_diag tcp_diag udp_diag netlink_diag af_packet_diag 2>/dev/null

# Of the library: what asks the kernel. The rest is the same on every one.
UNIT='cgroup:: host:: store:: sys:: audit:: selftest:: engine::'
# Of the integration tests all but those about sources, other compilers and other drivers.
LEAVE='layers seccomp_compiler probes support'

run() {
	program=$1
	shift
	begun=$(date +%s)
	"$program" --test-threads=2 --show-output "$@" 2>&1 || status=1
	echo "== $(($(date +%s) - begun)) s"
}

# Module by module, so that why a test failed is known before the last one has run.
modules() {
	sed 's/::.*//' /tmp/tests | sort -u | while read -r name; do
		case " $LEAVE " in
		*" $name "*) ;;
		*) echo "$name" ;;
		esac
	done
}

status=0
if [ -n "$line" ]; then
	sh -c "$line" || status=$?
elif [ -n "$filters" ]; then
	# shellcheck disable=SC2086 # the words are to be split
	run "$integration" $filters
else
	# shellcheck disable=SC2086 # the words are to be split
	run "$unit" $UNIT
	"$integration" --list | sed -n 's/: test$//p' >/tmp/tests
	for module in $(modules); do
		echo "== $module"
		# shellcheck disable=SC2046 # the words are to be split
		run "$integration" --exact $(grep "^$module::" /tmp/tests)
	done
fi
echo "casemate-vm: status $status"
sleep 1
exit "$status"
