/*
 * For programs that act on directories below which other users can write: opens a path once, component by component, without
 * following symbolic links, and reports what failed. Include after the headers of the kernel.
 */
#include "without-library.h"

/* Without O_DIRECTORY: together with O_PATH, it would make the kernel mount what an automount point stands for. */
#define COMPONENT (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* The descriptors that the current step has opened. */
static long opened[4], open_count;

/* What a failed step reports: a path up to a length, and a reason that errno does not give, or 0. */
static const char *culprit, *reason;
static long culprit_length;

static int is_link(long directory, const char *name)
{
	struct stat found;
	long file = call5(__NR_openat, directory, (long)name, COMPONENT, 0, 0), result;

	result = call(__NR_fstat, file, (long)&found, 0);
	call(__NR_close, file, 0, 0);
	return result == 0 && (found.st_mode & 0170000) == 0120000; /* S_ISLNK(3) */
}

/* Opens the component of a path at `name`, and sets *end to what follows it. */
static long open_component(long directory, const char *name, const char **end)
{
	char component[256];
	long length = 0, result;

	while (name[length] && name[length] != '/') {
		if (length == sizeof(component) - 1)
			return -ENAMETOOLONG;
		component[length] = name[length];
		length++;
	}
	component[length] = 0;
	*end = name + length;
	result = call5(__NR_openat, directory, (long)component, COMPONENT | O_DIRECTORY, 0, 0);
	reason = result == -ENOENT ? "does not exist" :
		 result != -ENOTDIR && result != -ELOOP ? 0 :
		 is_link(directory, component) ? "is a symbolic link" : "is not a directory";
	return result;
}

/* Opens a directory without following symbolic links. Returns its descriptor, which is in `opened`, or an error. */
static long open_directory(const char *path)
{
	const char *left = path;
	long result = call(__NR_open, (long)"/", COMPONENT | O_DIRECTORY, 0);

	culprit = path;
	culprit_length = 1;
	for (;;) {
		long above = result;

		while (*left == '/')
			left++;
		if (result < 0 || !*left)
			break;
		result = open_component(above, left, &left);
		call(__NR_close, above, 0, 0);
		culprit_length = left - path;
	}
	if (result >= 0)
		opened[open_count++] = result;
	return result;
}

static void set_culprit(const char *text)
{
	culprit = text;
	culprit_length = length_of(text);
}

static long parse_number(const char **text, long base)
{
	long number = 0;

	while (**text >= '0' && **text <= '9')
		number = number * base + *(*text)++ - '0';
	return number;
}

static void print(const char *text, long length)
{
	call(__NR_write, 2, (long)text, length);
}

/* Prints why a step failed, with the number of errno if there is no better reason. `program`: the beginning of the line. */
static void report(const char *program, long number)
{
	char failed[] = "failed with errno 000";

	for (char *digit = failed + sizeof(failed) - 2; number; number /= 10)
		*digit-- += number % 10;
	print(program, length_of(program));
	print(": ", 2);
	print(culprit, culprit_length);
	print(" ", 1);
	print(reason ? reason : failed, length_of(reason ? reason : failed));
	print("\n", 1);
}
