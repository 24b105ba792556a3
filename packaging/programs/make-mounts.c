/*
 * make-mounts STEP...: makes directories and mounts and sets mount options in early boot with one process, where mkdir(1),
 * chown(1) and mount(8) would have to be started for each. The steps:
 *
 *   directory MODE OWNER:GROUP PATH   makes a directory, unless it exists, and sets its mode, owner and group
 *   view OPTIONS DIRECTORY PATH       binds a directory to a path as a mount in a peer group of its own, which has these
 *                                     options when it appears
 *   overlay OPTIONS LAYERS PATH       mounts an overlay; LAYERS is lowerdir=…,upperdir=…,workdir=…, below directories
 *                                     that only root can write
 *   keep OPTIONS DIRECTORY PATH LIKE  does the same, unless the owner, mode, SELinux label or an access control list of the
 *                                     directory is not that of the directory LIKE
 *   volume OPTIONS TYPE DEVICE PATH   mounts the file system of this type on a device
 *   options OPTIONS PATH              adds options to the mount at a path, as `mount -o remount,bind,OPTIONS` does; a
 *                                     directory that is not a mount point is first bound to itself, as by `view`. A path
 *                                     that does not exist is skipped
 *   freeze PATH                       makes the file system at a path read-only, with every mount of it; fails while a file
 *                                     of it is open for writing
 *   like LIKE PATH                    makes a directory, unless it exists, and gives it the owner, mode, SELinux label and
 *                                     access control lists of the directory LIKE
 *   for NAME                          begins the steps for NAME, which end with the next `for`: after a failed step, the
 *                                     others are skipped, and the message begins with NAME
 *
 * OPTIONS are separated by commas: ro, nosuid, nodev, noexec, noatime, and exec, which clears noexec; others are
 * ignored.
 *
 * The owner of a directory on a path can replace the next component at any time, also by a symbolic link. So the program
 * opens each path once, component by component, refuses symbolic links, and then uses only the descriptor: with the new
 * system calls for mounts, and with the older ones as the working directory, whose name "." the owner cannot change.
 *
 * If a step fails, the program prints the reason, and its exit code is 1. After a failed `directory`, `like` or `view` outside
 * of the steps for a name, it makes no further steps, because later ones may need the directory. This program uses no C
 * library, so it loads no library.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "open-directory.h"
#include "bind-directory.h"

static long enter_path(const char *path)
{
	long directory = open_directory(path);

	return directory < 0 ? directory : enter(directory);
}

/* Whether a text begins with a word, and the word ends there or at a comma. */
static int is_word(const char *text, const char *word)
{
	while (*word)
		if (*text++ != *word++)
			return 0;
	return *text == ',' || !*text;
}

static long add_options(long flags, const char *options)
{
	for (;;) {
		flags |= is_word(options, "ro") ? MS_RDONLY :
			 is_word(options, "nosuid") ? MS_NOSUID :
			 is_word(options, "nodev") ? MS_NODEV :
			 is_word(options, "noexec") ? MS_NOEXEC :
			 is_word(options, "noatime") ? MS_NOATIME : 0;
		if (is_word(options, "exec"))
			flags &= ~MS_NOEXEC;
		while (*options && *options != ',')
			options++;
		if (!*options++)
			return flags;
	}
}

/* Makes a directory, unless it exists, and enters it. */
static long make_and_enter(const char *path, long mode, long user, long group)
{
	long result = call(__NR_mkdir, (long)path, 0700, 0);

	if (result == 0 || result == -EEXIST)
		result = enter_path(path);
	else
		set_culprit(path);
	if (result < 0)
		return result;
	result = call(__NR_chown, (long)".", user, group);
	/* After chown(2), and not by mkdir(2), which ignores the set-group-ID bit. */
	return result < 0 ? result : call(__NR_chmod, (long)".", mode, 0);
}

static long make_directory(const char *mode, const char *owner, const char *path)
{
	long user = parse_number(&owner, 10), group;

	set_culprit(path);
	if (*owner++ != ':')
		return -EINVAL;
	group = parse_number(&owner, 10);
	return make_and_enter(path, parse_number(&mode, 8), user, group);
}

/* The kernel's limit of an attribute (XATTR_SIZE_MAX in linux/limits.h). */
#define LARGEST 65536

static char values[2][LARGEST];

/* The access list decides who can open the directory; the default list is inherited by what is created in it. */
static const char *const lists[] = { "system.posix_acl_access", "system.posix_acl_default" };

/* Returns the size of an attribute; 0 if there is none or if the file system has none; or an error. */
static long read_attribute(long directory, const char *name, char *value)
{
	long result = enter(directory);

	if (result == 0)
		result = call5(__NR_getxattr, (long)".", (long)name, (long)value, LARGEST, 0);
	return result == -ENODATA || result == -EOPNOTSUPP ? 0 : result;
}

/* Leaves the value of the model in values[1], and sets *size to its size or to an error. */
static int has_equal(const char *name, long directory, long model, long *size)
{
	long own = read_attribute(directory, name, values[0]);

	*size = read_attribute(model, name, values[1]);
	if (*size < 0 || own != *size)
		return 0;
	while (own-- > 0)
		if (values[0][own] != values[1][own])
			return 0;
	return 1;
}

static const char label[] = "security.selinux";

static int has_selinux(void)
{
	return call(__NR_access, (long)"/sys/fs/selinux/enforce", 0, 0) == 0;
}

static int is_like(long directory, long model)
{
	struct stat found, wanted;
	long size;

	if (call(__NR_fstat, directory, (long)&found, 0) < 0 || call(__NR_fstat, model, (long)&wanted, 0) < 0)
		return 0;
	if (has_selinux() && !has_equal(label, directory, model, &size))
		return 0;
	return found.st_uid == wanted.st_uid && found.st_gid == wanted.st_gid && found.st_mode == wanted.st_mode &&
	       has_equal(lists[0], directory, model, &size) && has_equal(lists[1], directory, model, &size);
}

/* Gives a directory an attribute of the model. Returns 1 if the value was different, 0 if it was the same, or an error. */
static long copy_attribute(const char *name, long directory, long model)
{
	long size, result;

	if (has_equal(name, directory, model, &size))
		return 0;
	result = size < 0 ? size : enter(directory);
	if (result >= 0)
		result = size == 0 ? call(__NR_removexattr, (long)".", (long)name, 0) :
				     call5(__NR_setxattr, (long)".", (long)name, (long)values[1], size, 0);
	return result < 0 ? result : 1;
}

/* Returns whether the access control lists of the directory were not those of the model; or an error. */
static long copy_both_lists(long directory, long model)
{
	long is_changed = 0;

	for (int index = 0; index < 2; index++) {
		long result = copy_attribute(lists[index], directory, model);

		if (result < 0)
			return result;
		is_changed |= result;
	}
	return is_changed;
}

static long make_like(const char *like, const char *path)
{
	long model = open_directory(like), directory, result;
	struct stat wanted;

	if (model < 0)
		return model;
	result = call(__NR_fstat, model, (long)&wanted, 0);
	if (result == 0)
		result = make_and_enter(path, wanted.st_mode & 07777, wanted.st_uid, wanted.st_gid);
	if (result < 0)
		return result;
	directory = opened[open_count - 1];
	result = has_selinux() ? copy_attribute(label, directory, model) : 0;
	return result < 0 ? result : copy_both_lists(directory, model);
}

static int is_same(long directory, long other)
{
	struct stat one, two;

	if (call(__NR_fstat, directory, (long)&one, 0) < 0 || call(__NR_fstat, other, (long)&two, 0) < 0)
		return 0;
	return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* `like`: a directory with the same owner, mode, SELinux label and access control lists, or 0. */
static long bind_path(const char *options, const char *directory, const char *path, const char *like)
{
	long model = like ? open_directory(like) : 0, source, target, result;

	if (model < 0)
		return model;
	source = open_directory(directory);
	if (source < 0)
		return source;
	if (like && !is_like(source, model)) {
		reason = "has another owner, mode, SELinux label or access control list than the directory on the disk";
		return -EPERM;
	}
	target = open_directory(path);
	result = target < 0 ? target : bind(add_options(0, options), source, target);
	if (result == 0 && !is_same(source, open_directory(path))) {
		reason = "was replaced while it was mounted";
		result = -ESTALE;
	}
	return result;
}

static long mount_overlay(const char *options, const char *layers, const char *path)
{
	long result = enter_path(path);

	return result < 0 ? result : mount("immutafs", ".", "overlay", add_options(0, options), layers);
}

static long mount_volume(const char *options, const char *type, const char *device, const char *path)
{
	long result = enter_path(path);

	return result < 0 ? result : mount(device, ".", type, add_options(0, options), 0);
}

static long set_options(const char *options, const char *path)
{
	long directory = open_directory(path), flags, result;

	if (directory == -ENOENT)
		return 0;
	result = directory < 0 ? directory : enter(directory);
	if (result < 0)
		return result;
	flags = find_options(".");
	if (flags < 0)
		return flags;
	flags = add_options(flags, options);
	result = mount(0, ".", 0, MS_REMOUNT | MS_BIND | flags, 0);
	/* EINVAL: the path is not a mount point (do_reconfigure_mnt() in fs/namespace.c of the kernel). */
	return result == -EINVAL ? bind(flags, directory, directory) : result;
}

/* Without MS_BIND, the file system itself changes. The options of the mount at the path would be cleared, too. */
static long freeze(const char *path)
{
	long result = enter_path(path), flags = result < 0 ? result : find_options(".");

	return flags < 0 ? flags : mount(0, ".", 0, MS_REMOUNT | MS_RDONLY | flags, 0);
}

enum { FOR, DIRECTORY, LIKE, VIEW, OVERLAY, KEEP, VOLUME, OPTIONS, FREEZE, UNKNOWN };

/* The steps, and the number of their words. */
static const struct {
	const char *name;
	long words;
} steps[] = { { "for", 2 },  { "directory", 4 }, { "like", 3 },	  { "view", 4 }, { "overlay", 4 },
	      { "keep", 5 }, { "volume", 5 },	 { "options", 3 }, { "freeze", 2 } };

static int find_step(const char *name, long left)
{
	int step = 0;

	while (step < UNKNOWN && !(left >= steps[step].words && is_word(name, steps[step].name)))
		step++;
	return step;
}

static long run_step(int step, char **words)
{
	set_culprit(words[0]);
	reason = 0;
	switch (step) {
	case DIRECTORY:
		return make_directory(words[1], words[2], words[3]);
	case LIKE:
		return make_like(words[1], words[2]);
	case VIEW:
		return bind_path(words[1], words[2], words[3], 0);
	case OVERLAY:
		return mount_overlay(words[1], words[2], words[3]);
	case KEEP:
		return bind_path(words[1], words[2], words[3], words[4]);
	case VOLUME:
		return mount_volume(words[1], words[2], words[3], words[4]);
	case OPTIONS:
		return set_options(words[1], words[2]);
	case FREEZE:
		return freeze(words[1]);
	}
	reason = "is not a step, or lacks an argument";
	return -EINVAL;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	char **arguments = (char **)(stack + 1), *item = 0;
	long index = 1, failed = 0, is_skipping = 0;

	while (index < stack[0]) {
		char **words = arguments + index;
		int step = find_step(words[0], stack[0] - index);
		long result;

		index = step == UNKNOWN ? stack[0] : index + steps[step].words;
		if (step == FOR) {
			item = words[1];
			is_skipping = 0;
		}
		if (step == FOR || is_skipping)
			continue;
		result = run_step(step, words);
		if (result < 0) {
			failed = 1;
			report(item ? item : "make-mounts", -result);
			is_skipping = item || step == DIRECTORY || step == LIKE || step == VIEW;
		}
		while (open_count)
			call(__NR_close, opened[--open_count], 0, 0);
	}
	quit(failed);
}
