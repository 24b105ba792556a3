/*
 * match-tops compares the top directories in the store of PERSIST with the disk's own directories, because root in an
 * earlier boot may have changed who can access them:
 *
 *   match-tops compare [DISK STORE]...   prints a line for each pair: "same", or "different" if the type, owner, mode,
 *                                        SELinux label (if SELinux is enabled) or an access control list differs or
 *                                        cannot be read
 *   match-tops copy-acl DISK STORE       gives STORE the access control lists of DISK, and prints "changed" if they
 *                                        differed
 *
 * Used because getfacl(1) and setfacl(1) are not installed on every guest. Symbolic links are not followed. This program
 * does without a C library, so it loads no library. Exit code: 0, or 1 if the lists could not be copied.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>

#include "without-library.h"
#include "print.h"

/* The kernel's limit of a value (XATTR_SIZE_MAX in linux/limits.h). */
#define LARGEST 65536

static char first[LARGEST], second[LARGEST];
/* The access list decides who can open the directory; the default list is inherited by what is created in it. */
static const char *const lists[] = { "system.posix_acl_access", "system.posix_acl_default" };
static const char label[] = "security.selinux";

/* Returns the size of an attribute; 0 if there is none or if the file system has none; or the negative errno. */
static long read_attribute(const char *path, const char *name, char *value)
{
	long size = call5(__NR_lgetxattr, (long)path, (long)name, (long)value, LARGEST, 0);

	return size == -ENODATA || size == -EOPNOTSUPP ? 0 : size;
}

static int is_equal_text(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

/* Leaves the value of the first path in `first`, and sets size to its size. */
static int is_equal(const char *name, const char *one, const char *other, long *size)
{
	*size = read_attribute(one, name, first);
	if (*size < 0 || read_attribute(other, name, second) != *size)
		return 0;
	for (long index = 0; index < *size; index++)
		if (first[index] != second[index])
			return 0;
	return 1;
}

/* As find_top_format in units/persist-checks.sh. */
static int has_labels(void)
{
	return call(__NR_access, (long)"/sys/fs/selinux/enforce", 0, 0) == 0;
}

static int is_same(const char *disk, const char *store)
{
	struct stat one, other;
	long size;

	if (call(__NR_lstat, (long)disk, (long)&one, 0) < 0 || call(__NR_lstat, (long)store, (long)&other, 0) < 0)
		return 0;
	return one.st_mode == other.st_mode && one.st_uid == other.st_uid && one.st_gid == other.st_gid &&
	       (!has_labels() || is_equal(label, disk, store, &size)) && is_equal(lists[0], disk, store, &size) &&
	       is_equal(lists[1], disk, store, &size);
}

static long copy_lists(const char *disk, const char *store)
{
	long size, result, is_changed = 0;

	for (int index = 0; index < 2; index++) {
		if (is_equal(lists[index], disk, store, &size))
			continue;
		if (size < 0)
			return size;
		result = size == 0 ?
			call(__NR_lremovexattr, (long)store, (long)lists[index], 0) :
			call5(__NR_lsetxattr, (long)store, (long)lists[index], (long)first, size, 0);
		if (result < 0)
			return result;
		is_changed = 1;
	}
	if (is_changed)
		print("changed\n", 8);
	return 0;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	long count = stack[0], result = 0;
	const char **arguments = (const char **)stack + 1;

	if (count == 4 && is_equal_text(arguments[1], "copy-acl"))
		result = copy_lists(arguments[2], arguments[3]);
	else if (count >= 2 && count % 2 == 0 && is_equal_text(arguments[1], "compare"))
		for (long index = 2; index < count; index += 2)
			if (is_same(arguments[index], arguments[index + 1]))
				print("same\n", 5);
			else
				print("different\n", 10);
	else
		result = -EINVAL;
	flush();
	quit(result < 0);
}
