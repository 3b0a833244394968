/* Prints every seccomp filter of a process, a line of hexadecimal digits for each.
 *
 * Needs CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE; exits with 77 without.
 * Reference: ptrace(2), PTRACE_SECCOMP_GET_FILTER. */
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

int main(int argc, char **argv)
{
	static struct sock_filter program[4096];
	pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
	long index, length;

	if (pid < 1 || ptrace(PTRACE_SEIZE, pid, 0, 0) || ptrace(PTRACE_INTERRUPT, pid, 0, 0)) {
		perror("ptrace");
		return 1;
	}
	if (waitpid(pid, NULL, __WALL) != pid) {
		perror("waitpid");
		return 1;
	}
	for (index = 0;; index++) {
		length = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, program);
		if (length < 0)
			break;
		for (long i = 0; i < length; i++)
			printf("%04x%02x%02x%08x", program[i].code, program[i].jt, program[i].jf, program[i].k);
		printf("\n");
	}
	/* ENOENT: there is no further filter. EINVAL: the process has none at all. */
	return errno == ENOENT || errno == EINVAL ? 0 : 77;
}
