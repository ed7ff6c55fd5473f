/* Tries one way out of its confinement. Ends with 0 if there is one, with 7 if the system refused. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int outcome(long result) { return result < 0 ? 7 : 0; }

int main(int count, char **arguments)
{
	const char *way = count > 1 ? arguments[1] : "nothing";
	int number = count > 2 ? atoi(arguments[2]) : 0;
	char byte = 0;

	if (!strcmp(way, "nothing")) {
		return write(1, "within\n", 7) == 7 ? 0 : 7;
	} else if (!strcmp(way, "open")) {
		return outcome(open("/etc/passwd", O_RDONLY));
	} else if (!strcmp(way, "open-above")) {
		return outcome(open("../../../../etc/passwd", O_RDONLY));
	} else if (!strcmp(way, "create")) {
		return outcome(open("file", O_CREAT | O_WRONLY, 0600));
	} else if (!strcmp(way, "proc")) {
		return outcome(open("/proc/self/mem", O_RDWR));
	} else if (!strcmp(way, "socket")) {
		return outcome(socket(AF_INET, SOCK_STREAM, 0));
	} else if (!strcmp(way, "fork")) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		return outcome(child);
	} else if (!strcmp(way, "exec")) {
		execl("/bin/true", "true", (char *)0);
		return 7;
	} else if (!strcmp(way, "signal")) {
		return outcome(kill(number, 0));
	} else if (!strcmp(way, "abort-another")) {
		return outcome(syscall(SYS_tgkill, number, number, SIGABRT));
	} else if (!strcmp(way, "abort-a-thread")) {
		return outcome(syscall(SYS_tkill, number, SIGABRT));
	} else if (!strcmp(way, "trace")) {
		return outcome(syscall(SYS_ptrace, 16, number, 0, 0));
	} else if (!strcmp(way, "root")) {
		return outcome(setuid(0));
	} else if (!strcmp(way, "mount")) {
		return outcome(syscall(SYS_mount, "none", "/", "tmpfs", 0, 0));
	} else if (!strcmp(way, "module")) {
		return outcome(syscall(SYS_finit_module, 0, "", 0));
	} else if (!strcmp(way, "read-descriptor")) {
		return outcome(pread(number, &byte, 1, 0));
	} else if (!strcmp(way, "write-descriptor")) {
		return outcome(pwrite(number, &byte, 1, 0));
	} else if (!strcmp(way, "write-behind-the-end")) {
		return outcome(pwrite(number, &byte, 1, 1 << 20));
	} else if (!strcmp(way, "memory")) {
		char *memory = malloc(256u << 20);
		if (!memory)
			return 7;
		memset(memory, 1, 256u << 20);
		return 0;
	} else if (!strcmp(way, "unlimit")) {
		unsigned long long limit[2] = { ~0ull, ~0ull };
		return outcome(syscall(SYS_prlimit64, 0, 2, limit, 0));
	} else if (!strcmp(way, "abort")) {
		abort();
	}
	return 99;
}
