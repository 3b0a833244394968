/*
 * Has libseccomp compile profiles, so that a test can compare programs.
 *
 * Standard input, one word after the other: begin OPTIMIZE DEFAULT, then any number of
 * `arch TOKEN` (add), `only TOKEN` (instead of the native one) and `rule ACTION NAME COUNT` with COUNT times `ARG OP VALUE VALUE`, then `end`.
 * Standard output, for each: the number of bytes in ASCII, a newline, the bytes; or -1 and a
 * newline if a rule was refused. `name NAME` and `number TOKEN NUMBER` answer 1 or 0 and a newline:
 * is the call known? `load FLAGS COUNT` with COUNT times `CODE JT JF K` answers with the nanoseconds
 * that seccomp(2) took to load that program in a child.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void export(scmp_filter_ctx filter)
{
	FILE *file = tmpfile();
	static char bytes[1 << 20];

	if (!file || seccomp_export_bpf(filter, fileno(file)))
		exit(2);
	rewind(file);
	size_t length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	printf("%zu\n", length);
	fwrite(bytes, 1, length, stdout);
}

static int add_rule(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp args[6];
	char name[64];
	unsigned action, count;

	if (scanf("%u %63s %u", &action, name, &count) != 3 || count > 6)
		exit(3);
	for (unsigned i = 0; i < count; i++) {
		unsigned op;
		if (scanf("%u %u %" SCNu64 " %" SCNu64, &args[i].arg, &op, &args[i].datum_a,
			  &args[i].datum_b) != 4)
			exit(4);
		args[i].op = op;
	}
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(filter, action, number, count, args);
}

static void load(void)
{
	static struct sock_filter code[BPF_MAXINSNS];
	unsigned flags, count;
	long *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (answer == MAP_FAILED || scanf("%u %u", &flags, &count) != 2 || count > BPF_MAXINSNS)
		exit(14);
	for (unsigned i = 0; i < count; i++)
		if (scanf("%hu %hhu %hhu %u", &code[i].code, &code[i].jt, &code[i].jf, &code[i].k) != 4)
			exit(15);
	*answer = -1;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct sock_fprog program = { count, code };
		struct timespec before, after;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		clock_gettime(CLOCK_MONOTONIC, &before);
		long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
		clock_gettime(CLOCK_MONOTONIC, &after);
		if (!result)
			*answer = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
				  before.tv_nsec;
		_exit(0);
	}
	waitpid(child, NULL, 0);
	printf("%ld\n", *answer);
	fflush(stdout);
	munmap(answer, sizeof(*answer));
}

int main(void)
{
	scmp_filter_ctx filter = NULL;
	char word[64];
	unsigned optimize, action, token;
	int refused = 0;

	while (scanf("%63s", word) == 1) {
		if (!strcmp(word, "begin")) {
			if (scanf("%u %u", &optimize, &action) != 2)
				return 5;
			filter = seccomp_init(action);
			if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize))
				return 6;
			refused = 0;
		} else if (!strcmp(word, "arch")) {
			if (scanf("%u", &token) != 1)
				return 7;
			int result = seccomp_arch_add(filter, token);
			if (result && result != -17)
				return 8;
		} else if (!strcmp(word, "only")) {
			if (scanf("%u", &token) != 1)
				return 12;
			if (token != seccomp_arch_native() &&
			    (seccomp_arch_add(filter, token) ||
			     seccomp_arch_remove(filter, SCMP_ARCH_NATIVE)))
				return 13;
		} else if (!strcmp(word, "rule")) {
			refused |= add_rule(filter) != 0;
		} else if (!strcmp(word, "end")) {
			if (refused)
				puts("-1");
			else
				export(filter);
			seccomp_release(filter);
			fflush(stdout);
		} else if (!strcmp(word, "name")) {
			if (scanf("%63s", word) != 1)
				return 9;
			printf("%d\n", seccomp_syscall_resolve_name(word) != __NR_SCMP_ERROR);
			fflush(stdout);
		} else if (!strcmp(word, "load")) {
			load();
		} else if (!strcmp(word, "number")) {
			int number;
			if (scanf("%u %i", &token, &number) != 2)
				return 11;
			char *name = seccomp_syscall_resolve_num_arch(token, number);
			printf("%d\n", name != NULL);
			free(name);
			fflush(stdout);
		} else {
			return 10;
		}
	}
	return 0;
}
