/*
 * make-mounts STEP...: makes directories and mounts in early boot with one process, where mkdir(1), chown(1) and mount(8)
 * would have to be started for each. The steps:
 *
 *   directory MODE OWNER:GROUP PATH   makes a directory, unless it exists, and sets its mode, owner and group
 *   view OPTIONS DIRECTORY PATH       binds a directory to a path as a private mount with these options
 *   overlay OPTIONS LAYERS PATH       mounts an overlay; LAYERS is lowerdir=…,upperdir=…,workdir=…
 *   keep OPTIONS DIRECTORY PATH STAGE binds a directory to a path as a mount in a peer group of its own, which has these
 *                                     options when it appears; STAGE is a path for a mount that exists for a moment
 *
 * OPTIONS are separated by commas: ro, nosuid, nodev, noexec, noatime; others are ignored. The first step that fails ends
 * the program with exit code 1, without a message: the scripts then try the same with mount(8), which explains the error.
 * This program does without a C library, so it loads no library.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fs.h>

#include "without-library.h"

/* The headers of the build machine may be older than these system calls (mount_setattr(2): Linux 5.12). */
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442
#define CURRENT_DIRECTORY -100
#define CLONE_TREE 1
#define OF_FILE_DESCRIPTOR 0x1000 /* AT_EMPTY_PATH */
#define FROM_FILE_DESCRIPTOR 4 /* MOVE_MOUNT_F_EMPTY_PATH */

/* struct mount_attr; the bits of its options are those of mount(2) from MS_RDONLY to MS_NOEXEC. */
struct attributes {
	unsigned long set, clear, propagation, user_namespace;
};
#define SAME_BITS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

static long mount(const char *source, const char *target, const char *type, long flags, const char *data)
{
	return call5(__NR_mount, (long)source, (long)target, (long)type, flags, (long)data);
}

/* Whether a text begins with a word, and the word ends there or at a comma. */
static int is_word(const char *text, const char *word)
{
	while (*word)
		if (*text++ != *word++)
			return 0;
	return *text == ',' || !*text;
}

static long parse_options(const char *options)
{
	long flags = 0;

	for (;;) {
		flags |= is_word(options, "ro") ? MS_RDONLY :
			 is_word(options, "nosuid") ? MS_NOSUID :
			 is_word(options, "nodev") ? MS_NODEV :
			 is_word(options, "noexec") ? MS_NOEXEC :
			 is_word(options, "noatime") ? MS_NOATIME : 0;
		while (*options && *options != ',')
			options++;
		if (!*options++)
			return flags;
	}
}

static long parse_number(const char **text, long base)
{
	long number = 0;

	while (**text >= '0' && **text <= '9')
		number = number * base + *(*text)++ - '0';
	return number;
}

static long make_directory(const char *mode, const char *owner, const char *path)
{
	long result = call(__NR_mkdir, (long)path, 0700, 0), user, group;

	if (result < 0 && result != -EEXIST)
		return result;
	user = parse_number(&owner, 10);
	if (*owner++ != ':')
		return -EINVAL;
	group = parse_number(&owner, 10);
	result = call(__NR_chown, (long)path, user, group);
	/* After chown(2), and not by mkdir(2), which ignores the set-group-ID bit. */
	return result < 0 ? result : call(__NR_chmod, (long)path, parse_number(&mode, 8), 0);
}

static long bind_private(const char *options, const char *directory, const char *path)
{
	long result = mount(directory, path, 0, MS_BIND, 0);

	if (result < 0)
		return result;
	result = mount(0, path, 0, MS_PRIVATE, 0);
	if (result == 0)
		result = mount(0, path, 0, MS_REMOUNT | MS_BIND | parse_options(options), 0);
	if (result < 0)
		call(__NR_umount2, (long)path, 0, 0);
	return result;
}

static long set_attributes(long tree, long flags, long propagation)
{
	struct attributes attributes = { flags & SAME_BITS, ~flags & SAME_BITS, propagation, 0 };

	return call5(NR_MOUNT_SETATTR, tree, (long)"", OF_FILE_DESCRIPTOR, (long)&attributes, sizeof(attributes));
}

/*
 * Makes the mount before it is attached, so that the mount table changes once. systemd, which reads the table at most
 * five times a second, otherwise delays every mount unit until the second is over (src/core/mount.c).
 */
static long keep_detached(const char *options, const char *directory, const char *path)
{
	long flags = parse_options(options), result, tree;

	tree = call(NR_OPEN_TREE, CURRENT_DIRECTORY, (long)directory, CLONE_TREE);
	if (tree < 0)
		return tree;
	result = set_attributes(tree, flags, MS_PRIVATE);
	if (result == 0)
		result = set_attributes(tree, flags, MS_SHARED);
	if (result == 0)
		result = call5(NR_MOVE_MOUNT, tree, (long)"", CURRENT_DIRECTORY, (long)path, FROM_FILE_DESCRIPTOR);
	call(__NR_close, tree, 0, 0);
	return result;
}

/*
 * For kernels without mount_setattr(2). A bind mount has the options of the mount that it is made from, so the options
 * are first set at the stage.
 */
static long keep_staged(const char *options, const char *directory, const char *path, const char *stage)
{
	long result = call(__NR_mkdir, (long)stage, 0700, 0);

	if (result < 0 && result != -EEXIST)
		return result;
	result = bind_private(options, directory, stage);
	if (result == 0) {
		result = mount(stage, path, 0, MS_BIND, 0);
		if (result == 0)
			result = mount(0, path, 0, MS_SHARED, 0);
		call(__NR_umount2, (long)stage, 0, 0);
	}
	call(__NR_rmdir, (long)stage, 0, 0);
	return result;
}

static long keep(const char *options, const char *directory, const char *path, const char *stage)
{
	return keep_detached(options, directory, path) == 0 ? 0 : keep_staged(options, directory, path, stage);
}

static int is_step(char **arguments, const char *name, long left, long needed)
{
	return left >= needed && is_word(arguments[0], name);
}

/* Runs the first step of the arguments; returns the number of its arguments, or a negative number on failure. */
static long run_step(char **step, long left)
{
	long result, used = 4;

	if (is_step(step, "directory", left, 4))
		result = make_directory(step[1], step[2], step[3]);
	else if (is_step(step, "view", left, 4))
		result = bind_private(step[1], step[2], step[3]);
	else if (is_step(step, "overlay", left, 4))
		result = mount("immutafs", step[3], "overlay", parse_options(step[1]), step[2]);
	else if (is_step(step, "keep", left, used = 5))
		result = keep(step[1], step[2], step[3], step[4]);
	else
		result = -EINVAL;
	return result < 0 ? result : used;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	char **arguments = (char **)(stack + 1);
	long index = 1, failed = 0;

	while (!failed && index < stack[0]) {
		long used = run_step(arguments + index, stack[0] - index);

		failed = used < 0;
		index += used;
	}
	for (;;)
		call(__NR_exit, failed, 0, 0);
}
