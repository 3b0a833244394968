/* Prints the label by which SELinux knows the session keyring. */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	const long get_security = 17, session_keyring = -3;
	char label[4096];
	long length = syscall(SYS_keyctl, get_security, session_keyring, label, sizeof label);

	if (length < 0) {
		perror("keyctl");
		return 1;
	}
	printf("%.*s\n", (int)sizeof label, label);
	return 0;
}
