/*
 * move-directory STEP...: renames directories without following a symbolic link. When a step has succeeded, it is on the disk.
 * The steps:
 *
 *   move INODE FROM TO        renames a directory; TO must not exist
 *   exchange INODE ONE OTHER  exchanges two directories of one parent
 *
 * The directory FROM or ONE must have the inode number INODE, before and after. Kernels without renameat2(2) exchange in three
 * steps. If a step fails, the program prints the reason, makes no further steps, and its exit code is 1.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "open-directory.h"

/* renameat2(2), which the headers of the build machine may lack */
#define NR_RENAMEAT2 316
#define EXCHANGE 2

#define LONGEST 4096

/* The parent directory of a path, and its last component. */
struct place {
	char parent[LONGEST];
	const char *name;
	long directory;
};
static struct place places[2];

static long find_place(struct place *place, const char *path)
{
	long length = length_of(path), end = length;

	set_culprit(path);
	if (length >= LONGEST || path[0] != '/' || path[length - 1] == '/')
		return -EINVAL;
	while (path[end - 1] != '/')
		end--;
	for (long index = 0; index < end; index++)
		place->parent[index] = path[index];
	place->parent[end] = 0;
	place->name = path + end;
	place->directory = open_directory(place->parent);
	return place->directory;
}

/* Returns whether a name is the directory with this inode number; or an error. */
static long expect_inode(const struct place *place, const char *path, long inode)
{
	struct stat found;
	long result = call6(__NR_newfstatat, place->directory, (long)place->name, (long)&found, AT_SYMLINK_NOFOLLOW, 0, 0);

	set_culprit(path);
	if (result == 0 && ((found.st_mode & 0170000) != 0040000 || (long)found.st_ino != inode)) {
		reason = "is not the directory that was expected";
		result = -ESTALE;
	}
	return result;
}

/* Writes the names in a directory to the disk. fsync(2) needs another descriptor than that of O_PATH. */
static long sync(long directory)
{
	long file = call5(__NR_openat, directory, (long)".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0), result = file;

	if (file >= 0) {
		result = call(__NR_fsync, file, 0, 0);
		call(__NR_close, file, 0, 0);
	}
	return result;
}

static long rename(long from, const char *name, long to, const char *other)
{
	return call5(__NR_renameat, from, (long)name, to, (long)other, 0);
}

/* For kernels without renameat2(2), and file systems that cannot exchange. */
static long exchange_slowly(long directory, const char *one, const char *other)
{
	static const char between[] = ".immutafs-exchange";
	long result = rename(directory, other, directory, between);

	if (result == 0)
		result = rename(directory, one, directory, other);
	return result < 0 ? result : rename(directory, between, directory, one);
}

static long run_step(const char *step, const char *inode, const char *from, const char *to)
{
	int is_exchange = step[0] == 'e';
	long number = parse_number(&inode, 10), result = find_place(&places[0], from);

	if (result >= 0)
		result = find_place(&places[1], to);
	if (result >= 0)
		result = expect_inode(&places[0], from, number);
	if (result < 0)
		return result;
	set_culprit(to);
	if (is_exchange) {
		result = call5(NR_RENAMEAT2, places[0].directory, (long)places[0].name, places[1].directory,
			       (long)places[1].name, EXCHANGE);
		if (result == -ENOSYS || result == -EINVAL)
			result = exchange_slowly(places[0].directory, places[0].name, places[1].name);
	} else {
		struct stat found;

		result = call6(__NR_newfstatat, places[1].directory, (long)places[1].name, (long)&found, AT_SYMLINK_NOFOLLOW, 0, 0);
		if (result == 0) {
			reason = "exists";
			return -EEXIST;
		}
		result = rename(places[0].directory, places[0].name, places[1].directory, places[1].name);
	}
	if (result == 0)
		result = expect_inode(&places[1], to, number);
	if (result == 0)
		result = sync(places[1].directory);
	return result < 0 ? result : sync(places[0].directory);
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	char **words = (char **)(stack + 2);
	long left = stack[0] - 1, result = left == 0 ? -EINVAL : 0;

	while (left > 0 && result >= 0) {
		reason = 0;
		set_culprit(words[0]);
		result = left < 4 ? -EINVAL : run_step(words[0], words[1], words[2], words[3]);
		while (open_count)
			call(__NR_close, opened[--open_count], 0, 0);
		words += 4;
		left -= 4;
	}
	if (result < 0)
		report("move-directory", -result);
	quit(result < 0);
}
