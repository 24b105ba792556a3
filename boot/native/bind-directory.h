/*
 * Binds a directory to another one, for native.c. Include after the functions call() and call5(), which return the negative
 * errno.
 */
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fs.h>

/* The headers of the build machine may be older than these system calls (mount_setattr(2): Linux 5.12). */
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442
#define CLONE_TREE 1
#define OF_FILE_DESCRIPTOR 0x1000 /* AT_EMPTY_PATH */
#define BETWEEN_FILE_DESCRIPTORS 0x44 /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */

/* struct mount_attr; the bits of its options are those of mount(2) from MS_RDONLY to MS_NOEXEC. */
struct attributes {
	unsigned long set, clear, propagation, user_namespace;
};
#define SAME_BITS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* statfs(2) reports the options of a mount with the bits of mount(2), except for ST_RELATIME. */
#define ST_RELATIME 4096
#define TIME_BITS (MS_NOATIME | MS_NODIRATIME)

static long mount(const char *source, const char *target, const char *type, long flags, const char *data)
{
	return call5(__NR_mount, (long)source, (long)target, (long)type, flags, (long)data);
}

static long enter(long directory)
{
	return call(__NR_fchdir, directory, 0, 0);
}

/* Returns the options of the mount of a directory, or an error. */
static long find_options(const char *directory)
{
	struct statfs now;
	long result = call(__NR_statfs, (long)directory, (long)&now, 0);

	if (result < 0)
		return result;
	return (now.f_flags & (SAME_BITS | TIME_BITS)) | (now.f_flags & ST_RELATIME ? MS_RELATIME : 0);
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
static long bind_detached(long flags, long directory, long target)
{
	long tree = call(NR_OPEN_TREE, directory, (long)"", CLONE_TREE | OF_FILE_DESCRIPTOR), result;

	if (tree < 0)
		return tree;
	result = set_attributes(tree, flags, MS_PRIVATE);
	if (result == 0)
		result = set_attributes(tree, flags, MS_SHARED);
	if (result == 0)
		result = call5(NR_MOVE_MOUNT, tree, (long)"", target, (long)"", BETWEEN_FILE_DESCRIPTORS);
	call(__NR_close, tree, 0, 0);
	return result;
}

/* Binds a directory to the stage, with its options. */
static long bind_to_stage(long flags, long directory, const char *stage)
{
	long result = enter(directory), now = find_options(".");

	if (result == 0)
		result = now < 0 ? now : mount(".", stage, 0, MS_BIND, 0);
	if (result < 0)
		return result;
	flags |= now & (TIME_BITS | MS_RELATIME);
	result = mount(0, stage, 0, MS_PRIVATE, 0);
	if (result == 0)
		result = mount(0, stage, 0, MS_REMOUNT | MS_BIND | flags, 0);
	/* The mount at the target joins the peer group of the stage. When the stage is unmounted, it is the only member. */
	if (result == 0)
		result = mount(0, stage, 0, MS_SHARED, 0);
	if (result < 0)
		call(__NR_umount2, (long)stage, 0, 0);
	return result;
}

/*
 * For kernels without mount_setattr(2). A bind mount has the options of the mount that it is made from, so the options
 * are first set at a stage in a directory that only root can write.
 */
static long bind_staged(long flags, long directory, long target)
{
	char stage[] = "/run/immutafs/stage.0000000000";
	long number = call(__NR_getpid, 0, 0, 0), result;

	for (char *digit = stage + sizeof(stage) - 2; number; number /= 10)
		*digit-- += number % 10;
	call(__NR_mkdir, (long)"/run/immutafs", 0755, 0);
	result = call(__NR_mkdir, (long)stage, 0700, 0);
	if (result < 0 && result != -EEXIST)
		return result;
	result = bind_to_stage(flags, directory, stage);
	if (result == 0) {
		result = enter(target);
		if (result == 0)
			result = mount(stage, ".", 0, MS_BIND, 0);
		call(__NR_umount2, (long)stage, 0, 0);
	}
	call(__NR_rmdir, (long)stage, 0, 0);
	return result;
}

/* Binds a directory to another one, as a mount with these options in a peer group of its own. */
static long bind(long flags, long directory, long target)
{
	if (bind_detached(flags, directory, target) == 0)
		return 0;
	return bind_staged(flags, directory, target);
}
