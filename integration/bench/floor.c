/* The floor of the benchmark: the least that a launch of this kind can cost.
 *
 *     floor userns|plain BUNDLE ID
 *
 * Runs BUNDLE/rootfs's /bin/true as a container runtime would for Podman's default
 * configuration: clone3 into a new cgroup; mount, pid, net, ipc, uts and cgroup
 * namespaces, with `userns` a user namespace too; every mount of that configuration;
 * pivot_root; execve; wait; clean up. Exits with the status of /bin/true, or with 125.
 *
 * It reads no configuration, keeps no state, checks no path, drops no privilege and
 * loads no seccomp filter: what a runtime takes beyond this is the runtime's own cost.
 * The order is the one that casemate uses: the child makes its namespaces while the
 * parent, with the outer credentials, builds and attaches the mounts.
 *
 * With FLOOR_TRACE set, standard error gets a line for each step when it is done:
 * track, CLOCK_MONOTONIC in nanoseconds, name.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace.h"

enum { FAILED = 125, BASE = 1 << 20, RANGE = 1 << 16 };
#define CGROUPS "/sys/fs/cgroup"
#define BOX (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* Descriptors that the child makes and the parent attaches: one table serves both. */
struct made { int proc, cgroup; };
/* Where one side waits for the other. Event descriptors, because waking a reader of a
 * pipe or socket draws it to the waker's processor, and the two would take turns there. */
enum gate { MADE, MAPPED, NETWORK, PIVOTED, GATES };

static const char *cgroup_id;
static int cgroups = -1, child_pidfd = -1;
static int gates[GATES];

/* Ends the child if there is one, and takes back the cgroup. */
static int wind_up(int end_child)
{
	siginfo_t info = { 0 };
	if (child_pidfd >= 0) {
		if (end_child)
			syscall(SYS_pidfd_send_signal, child_pidfd, SIGKILL, NULL, 0);
		if (waitid(P_PIDFD, child_pidfd, &info, WEXITED) < 0)
			return FAILED;
	}
	mark("waited for the child");
	if (cgroup_id && unlinkat(cgroups, cgroup_id, AT_REMOVEDIR) < 0)
		return FAILED;
	mark("removed the cgroup");
	if (info.si_code != CLD_EXITED)
		return FAILED;
	return info.si_status;
}

__attribute__((noreturn)) static void fail(const char *what)
{
	dprintf(2, "floor: %s: %s\n", what, strerror(errno));
	if (!in_child)
		wind_up(1);
	_exit(FAILED);
}

static int must(long ret, const char *what)
{
	if (ret < 0)
		fail(what);
	return (int)ret;
}

/* A new file system, detached. Options are key, value, ..., NULL. */
static int filesystem(const char *type, unsigned attr, const char *const *option)
{
	int fs = must(fsopen(type, FSOPEN_CLOEXEC), type);
	for (; option && *option; option += 2)
		must(fsconfig(fs, FSCONFIG_SET_STRING, option[0], option[1], 0), option[0]);
	must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
	int tree = must(fsmount(fs, FSMOUNT_CLOEXEC, attr), type);
	close(fs);
	return tree;
}

/* A detached copy of what is at `path`. */
static int copy_of(int dir, const char *path)
{
	return must(open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), path);
}

/* Sets attributes, and shifts owners into the user namespace if there is one. */
static void set_attributes(int tree, unsigned long long attr, int userns)
{
	struct mount_attr set = { .attr_set = attr, .propagation = MS_PRIVATE };
	if (userns >= 0) {
		set.attr_set |= MOUNT_ATTR_IDMAP;
		set.userns_fd = (unsigned)userns;
	}
	must(mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &set, sizeof set), "mount_setattr");
}

static void attach(int tree, int root, const char *path)
{
	must(move_mount(tree, "", root, path, MOVE_MOUNT_F_EMPTY_PATH), path);
	close(tree);
}

/* Waits until the other side opens the gate; returns what it said, never 0. */
static unsigned long long wait_at(enum gate gate)
{
	unsigned long long said;
	struct pollfd on[2] = { { gates[gate], POLLIN, 0 }, { child_pidfd, POLLIN, 0 } };
	must(poll(on, child_pidfd < 0 ? 1 : 2, -1), "poll");
	if (!(on[0].revents & POLLIN))
		_exit(wind_up(0)); /* the child has said why */
	must(read(gates[gate], &said, sizeof said), "read event");
	return said;
}

static void open_gate(enum gate gate, unsigned long long said)
{
	must(write(gates[gate], &said, sizeof said), "write event");
}

/* ---- the child ---- */

static void bring_lo_up(void)
{
	int sock = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	must(ioctl(sock, SIOCSIFFLAGS, &lo), "lo up");
	close(sock);
}

__attribute__((noreturn)) static void child(int userns)
{
	static char *const argv[] = { "true", NULL }, *const env[] = { "PATH=/bin", NULL };

	in_child = 1;
	mark("cloned");
	must(unshare(CLONE_NEWCGROUP), "unshare cgroup");
	struct made made;
	made.proc = filesystem("proc", BOX, NULL);
	/* Kept: the path will be read-only before the network namespace exists. */
	int sysctl = must(openat(made.proc, "sys", O_PATH | O_CLOEXEC), "proc/sys");
	made.cgroup = filesystem("cgroup2", BOX | MOUNT_ATTR_RDONLY, NULL);
	mark("cgroup namespace, proc, cgroup2");
	if (userns) {
		must(unshare(CLONE_NEWUSER), "unshare user");
		mark("unshare user");
	}
	open_gate(MADE, (unsigned)made.proc | (unsigned long long)made.cgroup << 32);
	if (userns) {
		wait_at(MAPPED);
		mark("gate: id maps");
		must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
		must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	}
	must(unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "unshare net, ipc, uts");
	mark("unshare net, ipc, uts");
	open_gate(NETWORK, 1);
	bring_lo_up();
	int ping = must(openat(sysctl, "net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC), "ping_group_range");
	must(write(ping, "0 0", 3), "ping_group_range");
	must(sethostname("floor", 5), "sethostname");
	mark("lo, sysctl, host name");
	wait_at(PIVOTED);
	mark("gate: pivoted");
	must(chdir("/"), "chdir");
	execve("/bin/true", argv, env);
	fail("execve");
}

/* ---- the parent ---- */

static int build_dev(void)
{
	static const struct { const char *name; unsigned major, minor; } node[] = {
		{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 },
		{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
	};
	static const char *const link[][2] = {
		{ "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" },
	};
	static const char *const dir[] = { "pts", "shm", "mqueue" };
	static const char *const option[] = { "mode", "755", "size", "65536k", NULL };

	umask(0);
	int dev = filesystem("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_STRICTATIME, option);
	for (size_t i = 0; i < sizeof node / sizeof *node; i++)
		must(mknodat(dev, node[i].name, S_IFCHR | 0666, makedev(node[i].major, node[i].minor)), node[i].name);
	for (size_t i = 0; i < sizeof link / sizeof *link; i++)
		must(symlinkat(link[i][0], dev, link[i][1]), link[i][1]);
	for (size_t i = 0; i < sizeof dir / sizeof *dir; i++)
		must(mkdirat(dev, dir[i], 0755), dir[i]);
	return dev;
}

static int build_devpts(int userns)
{
	char gid[16];
	snprintf(gid, sizeof gid, "%d", (userns ? BASE : 0) + 5);
	const char *option[] = { "ptmxmode", "0666", "mode", "0620", "gid", gid, NULL };
	return filesystem("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, option);
}

/* Writes the id maps; returns a descriptor of the user namespace. */
static int map_ids(int pid)
{
	char path[32], map[48];
	int len = snprintf(map, sizeof map, "0 %d %d\n", BASE, RANGE);
	snprintf(path, sizeof path, "/proc/%d", pid);
	int dir = must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
	static const char *const file[] = { "uid_map", "gid_map" };
	for (int i = 0; i < 2; i++) {
		int fd = must(openat(dir, file[i], O_WRONLY | O_CLOEXEC), file[i]);
		must(write(fd, map, (size_t)len), file[i]);
		close(fd);
	}
	int userns = must(openat(dir, "ns/user", O_RDONLY | O_CLOEXEC), "ns/user");
	close(dir);
	return userns;
}

/* Hides a directory behind `empty`, any other file behind the container's /dev/null. */
static void mask(int root, const char *path, int empty)
{
	struct stat st;
	int at = openat(root, path, O_PATH | O_CLOEXEC);
	if (at < 0 && errno == ENOENT)
		return;
	must(at, path);
	must(fstat(at, &st), path);
	int over = S_ISDIR(st.st_mode) ? must(open_tree(empty, "", OPEN_TREE_CLONE | AT_EMPTY_PATH), "mask")
				       : copy_of(root, "dev/null");
	must(move_mount(over, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH), path);
	close(over);
	close(at);
}

static void make_read_only(int root, const char *path)
{
	int tree = open_tree(root, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 && errno == ENOENT)
		return;
	set_attributes(must(tree, path), MOUNT_ATTR_RDONLY, -1);
	attach(tree, root, path);
}

static void close_proc(int root, int empty)
{
	static const char *const masked[] = {
		"proc/acpi", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
		"proc/timer_stats", "proc/sched_debug", "proc/scsi",
	};
	static const char *const read_only[] = {
		"proc/asound", "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger",
	};
	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
		mask(root, masked[i], empty);
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
		make_read_only(root, read_only[i]);
}

static int clone_child(int into)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_FILES,
		.pidfd = (unsigned long)&child_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned)into,
	};
	return must(syscall(SYS_clone3, &args, sizeof args), "clone3");
}

/* The files of the bundle that Podman binds, and the root. */
enum { SHM, HOSTS, HOSTNAME, CONTAINERENV, ROOTFS, COPIES };
static const char *const source[COPIES] = { "shm", "hosts", "hostname", "containerenv", "rootfs" };
static const char *const target[COPIES] = {
	"dev/shm", "etc/hosts", "etc/hostname", "run/.containerenv", NULL,
};

/* Everything that needs neither the child's network nor its ipc namespace. */
static int assemble(const int *copy, const struct made *made, int dev, int devpts, int empty)
{
	int root = copy[ROOTFS];
	must(setns(child_pidfd, CLONE_NEWNS), "setns mount");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	must(move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "root");
	attach(made->proc, root, "proc");
	attach(dev, root, "dev");
	attach(devpts, root, "dev/pts");
	for (int i = 0; i < ROOTFS; i++)
		attach(copy[i], root, target[i]);
	mark("joined mount namespace, attached");
	close_proc(root, empty);
	mark("masked and read-only paths of proc");
	must(fchdir(root), "fchdir");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	mark("pivot_root");
	must(umount2(".", MNT_DETACH), "detach the old root");
	mark("detached the old root");
	return root;
}

static void attach_late(int root, int cgroup, int empty)
{
	static const char *const masked[] = { "sys/firmware", "sys/fs/selinux", "sys/dev/block" };
	must(setns(child_pidfd, CLONE_NEWNET | CLONE_NEWIPC), "setns net, ipc");
	attach(filesystem("sysfs", BOX | MOUNT_ATTR_RDONLY, NULL), root, "sys");
	attach(filesystem("mqueue", BOX, NULL), root, "dev/mqueue");
	attach(cgroup, root, "sys/fs/cgroup");
	mark("sysfs, mqueue, cgroup");
	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
		mask(root, masked[i], empty);
	mark("masked paths of sys");
}

static int launch(const char *bundle, const char *id, int userns)
{
	static const char *const empty_mode[] = { "mode", "555", "size", "0", NULL };
	int copy[COPIES], map = -1;

	cgroups = must(open(CGROUPS, O_PATH | O_DIRECTORY | O_CLOEXEC), CGROUPS);
	must(mkdirat(cgroups, id, 0755), "cgroup");
	cgroup_id = id;
	int cgroup = must(openat(cgroups, cgroup_id, O_PATH | O_DIRECTORY | O_CLOEXEC), "cgroup");
	for (int i = 0; i < GATES; i++)
		gates[i] = must(eventfd(0, EFD_CLOEXEC), "eventfd");
	mark("cgroup, gates");
	int pid = clone_child(cgroup);
	if (pid == 0) {
		child_pidfd = -1;
		child(userns);
	}
	mark("clone3");

	int from = must(open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC), bundle);
	for (int i = 0; i < COPIES; i++)
		copy[i] = copy_of(from, source[i]);
	mark("copies of root and files");
	unsigned long long said = wait_at(MADE);
	struct made made = { (int)(unsigned)said, (int)(said >> 32) };
	mark("gate: user namespace");
	if (userns) {
		map = map_ids(pid);
		open_gate(MAPPED, 1);
		mark("id maps");
	}
	int dev = build_dev(), devpts = build_devpts(userns);
	int empty = filesystem("tmpfs", BOX | MOUNT_ATTR_RDONLY, empty_mode);
	mark("dev, devpts, empty tmpfs");
	for (int i = 0; i < COPIES; i++)
		set_attributes(copy[i], i == SHM ? BOX : i == ROOTFS ? MOUNT_ATTR_RDONLY : 0, map);
	if (userns)
		set_attributes(dev, 0, map);
	mark("attributes and id-mapping");
	int root = assemble(copy, &made, dev, devpts, empty);
	wait_at(NETWORK);
	mark("gate: network namespace");
	attach_late(root, made.cgroup, empty);
	open_gate(PIVOTED, 1);
	return wind_up(0);
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[1], "userns") && strcmp(argv[1], "plain"))) {
		dprintf(2, "usage: floor userns|plain BUNDLE ID\n");
		return FAILED;
	}
	if (getenv("FLOOR_TRACE") && start_trace())
		fail("mmap");
	mark("main");
	int status = launch(argv[2], argv[3], !strcmp(argv[1], "userns"));
	print_trace();
	return status;
}
