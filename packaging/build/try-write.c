/*
 * try-write FOLDER...: writes to each folder's file system and prints errno, or 0, a line each, as soon as it is known.
 *
 * For the check every minute: a write to a frozen file system (fsfreeze(8)) does not end, not even on SIGKILL, so that
 * it must be another process than the agent's, and the agent itself takes a hundred times longer to start. The file
 * has no name, so that nothing is left behind; where there are no such files, access(2) answers, as in
 * agent/system/probe/write.ts. Without a C library there is nothing to be loaded.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>

#include "without-library.h"

/* Not of every libc's headers: O_TMPFILE | O_DIRECTORY, and W_OK. */
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

static void say(long number)
{
	char text[24];
	int start = sizeof(text) - 1;

	text[start] = '\n';
	do
		text[--start] = '0' + number % 10;
	while (number /= 10);
	call(__NR_write, 1, (long)(text + start), sizeof(text) - start);
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	for (long index = 1; index < stack[0]; index++)
		say(-try_write(stack[index + 1]));
	for (;;)
		call(__NR_exit, 0, 0, 0);
}
