/*
 * read-xattrs: reads paths from stdin, each followed by a null byte, and prints the extended attributes of each path to
 * stdout. It does not follow a symbolic link in the last component.
 *
 * For each path, it prints each attribute as "=NAME\0:SIZE\0VALUE" and then ".ERRNO\0", where ERRNO is 0 if every attribute
 * was read. It prints no attribute for a file system without extended attributes.
 *
 * With arguments, read-xattrs PREFIX PATH..., it prints each path with an attribute whose name begins with PREFIX, followed
 * by a null byte. Exit code: 0, or 1 if the attributes of a path could not be listed. Paths that do not exist are skipped.
 *
 * Used by `immutafs-agent changes` and `prepare`, because Node.js has no getxattr(2), getfattr(1) is not installed on every
 * guest, and a process per file would take too long. Without arguments, the program prints all answers before it waits for
 * more paths, so that the agent can use it as a server. It uses no C library, so it loads no library.
 */
#include <asm/unistd.h>
#include <errno.h>

#include "without-library.h"
#include "print.h"

/* The kernel's limits of the names and of a value (linux/limits.h). */
#define LARGEST 65536

static char input[8192], names[LARGEST], value[LARGEST];

/* Returns whether a path has an attribute whose name begins with the prefix, or the negative errno of a failure. */
static long has_attribute(const char *path, const char *prefix)
{
	long size = call(__NR_llistxattr, (long)path, (long)names, sizeof(names));

	if (size == -EOPNOTSUPP || size == -ENOENT || size == -ENOTDIR)
		return 0;
	if (size < 0)
		return size;
	for (long at = 0; at < size; at += length_of(names + at) + 1) {
		long same = 0;

		while (prefix[same] && names[at + same] == prefix[same])
			same++;
		if (!prefix[same])
			return 1;
	}
	return 0;
}

__attribute__((noreturn)) static void print_paths_with(const char *prefix, char *const *paths)
{
	long failed = 0;

	for (; *paths; paths++) {
		long found = has_attribute(*paths, prefix);

		if (found < 0)
			failed = 1;
		if (found > 0)
			print(*paths, length_of(*paths) + 1);
	}
	flush();
	quit(failed);
}

/* Returns 0 or the negative errno of the first call that failed. */
static long print_attributes(const char *path)
{
	long failed = 0, size = call(__NR_llistxattr, (long)path, (long)names, sizeof(names));

	if (size == -EOPNOTSUPP)
		return 0;
	if (size < 0)
		return size;
	for (long at = 0; at < size; at += length_of(names + at) + 1) {
		long count = call5(__NR_lgetxattr, (long)path, (long)(names + at), (long)value, sizeof(value), 0);

		if (count < 0) {
			/* The attribute may have been removed meanwhile. */
			if (count != -ENODATA && !failed)
				failed = count;
			continue;
		}
		print("=", 1);
		print(names + at, length_of(names + at) + 1);
		print_number(":", count, 10);
		print("", 1);
		print(value, count);
	}
	return failed;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	long filled = 0;

	if (stack[0] > 1)
		print_paths_with((const char *)stack[2], (char *const *)(stack + 3));
	for (;;) {
		long count, start = 0;

		flush();
		count = call(__NR_read, 0, (long)(input + filled), sizeof(input) - filled);
		if (count == -EINTR)
			continue;
		/* A path that does not fit is longer than the kernel's limit, so the read has no room and returns 0. */
		if (count <= 0)
			quit(count < 0 || filled > 0);
		filled += count;
		for (long index = 0; index < filled; index++) {
			if (input[index])
				continue;
			print_number(".", -print_attributes(input + start), 10);
			print("", 1);
			start = index + 1;
		}
		for (long index = start; index < filled; index++)
			input[index - start] = input[index];
		filled -= start;
	}
}
