/* Runs commands one at a time and reports what each cost.
 *
 * Standard input holds requests: the words of a command, each ended by a NUL, and one
 * more NUL. For each, one line goes to standard output:
 *
 *     START_NS END_NS CPU_US MAXRSS_KIB STATUS
 *
 * START_NS and END_NS are CLOCK_MONOTONIC; CPU_US is user and system time of the command
 * and of all that it waited for; STATUS is the exit status, or 128 and the signal.
 * The command's standard input and output are /dev/null; standard error is inherited.
 *
 * A program of its own, and a small one: a process starts its life with the peak memory
 * of the one that forked it, so that below an interpreter nothing seems small.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 1 << 16, WORDS = 256 };
extern char **environ;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long usec(const struct timeval *t)
{
	return t->tv_sec * 1000000LL + t->tv_usec;
}

static int report(char **argv, const posix_spawn_file_actions_t *quiet)
{
	char line[128];
	struct rusage use;
	int status;
	pid_t pid;

	long long start = now();
	int err = posix_spawn(&pid, argv[0], quiet, NULL, argv, environ);
	if (err) {
		dprintf(2, "lap: %s: %s\n", argv[0], strerror(err));
		return 1;
	}
	if (wait4(pid, &status, 0, &use) < 0)
		return 1;
	long long end = now();
	int len = snprintf(line, sizeof line, "%lld %lld %lld %ld %d\n", start, end,
			   usec(&use.ru_utime) + usec(&use.ru_stime), use.ru_maxrss,
			   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return write(1, line, (size_t)len) != len;
}

/* Reads one request into `bytes`; 0 at the end of input or when it is too long. */
static int request(char *bytes, char **argv)
{
	size_t len = 0;
	int words = 0;

	argv[0] = bytes;
	while (len < BYTES && words < WORDS - 1 && read(0, bytes + len, 1) == 1) {
		if (bytes[len++])
			continue;
		if (argv[words] == bytes + len - 1) {
			argv[words] = NULL;
			return words;
		}
		argv[++words] = bytes + len;
	}
	return 0;
}

int main(void)
{
	static char bytes[BYTES], *argv[WORDS];
	posix_spawn_file_actions_t quiet;

	if (posix_spawn_file_actions_init(&quiet) ||
	    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0))
		return 1;
	while (request(bytes, argv))
		if (report(argv, &quiet))
			return 1;
	return 0;
}
