/*
 * try-write DIRECTORY...: tries to write to the file system of each directory and prints a line with errno, or 0, after
 * each attempt.
 *
 * Used by the check that runs every minute. A write to a frozen file system (fsfreeze(8)) does not return, not even on
 * SIGKILL, so it must run in a separate process, and the agent itself takes a hundred times longer to start. The
 * program writes to an unnamed file, so that no file remains. On file systems without O_TMPFILE it calls access(2)
 * instead, as agent/system/probe/write.ts does. The program uses no C library, so it loads no library.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>

#include "without-library.h"
#include "print.h"

/* O_TMPFILE | O_DIRECTORY, and W_OK. Not every C library's headers define them. */
#define UNNAMED (020000000 | 00200000)
#define WRITABLE 2

static long try_write(long folder)
{
	long result, fd = call(__NR_open, folder, O_RDWR | UNNAMED | O_CLOEXEC, 0600);

	if (fd == -EISDIR || fd == -EOPNOTSUPP)
		return call(__NR_access, folder, WRITABLE, 0);
	if (fd < 0)
		return fd;
	result = call(__NR_write, fd, (long)"x", 1);
	call(__NR_close, fd, 0, 0);
	return result < 0 ? result : 0;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	for (long index = 1; index < stack[0]; index++) {
		print_number("", -try_write(stack[index + 1]), 10);
		print("\n", 1);
		flush();
	}
	quit(0);
}
