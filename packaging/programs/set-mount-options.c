/*
 * set-mount-options OPTIONS PATH [OPTIONS PATH]...: adds mount options to the mount at each path, as
 * `mount -o remount,bind,OPTIONS PATH` does (mount_setattr(8) of newer kernels is not available in RHEL 7). A directory
 * that is not a mount point is first bound to itself. OPTIONS are noexec, nosuid, nodev, and exec, which takes noexec
 * back, separated by commas. A path that does not exist is skipped.
 *
 * Used in the initramfs and in early boot, where mount(8) would have to be started three times for each path. This
 * program does without a C library, so it loads no library. Exit code: 0, or 1 if an option could not be set on a path;
 * the path and the number of errno are printed.
 */
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fs.h>

#include "without-library.h"

/* statfs(2) reports the options of a mount with the bits of mount(2), except for ST_RELATIME. */
#define ST_RELATIME 4096
#define SAME_BITS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)

static long mount(const char *source, const char *target, long flags)
{
	return call5(__NR_mount, (long)source, (long)target, 0, flags, 0);
}

static long add_options(long flags, const char *options)
{
	for (; *options; options++) {
		/* "noexec", "nosuid" and "nodev" differ in their third character. */
		if (options[0] == 'n' && options[1] == 'o')
			flags |= options[2] == 'e' ? MS_NOEXEC : options[2] == 's' ? MS_NOSUID : MS_NODEV;
		else if (options[0] == 'e')
			flags &= ~MS_NOEXEC;
		while (options[1] && *options != ',')
			options++;
	}
	return flags;
}

static long set_options(const char *options, const char *path)
{
	struct statfs now;
	long result = call(__NR_statfs, (long)path, (long)&now, 0), flags;

	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return result;
	flags = (now.f_flags & SAME_BITS) | (now.f_flags & ST_RELATIME ? MS_RELATIME : 0);
	flags = add_options(flags, options) | MS_REMOUNT | MS_BIND;
	result = mount(0, path, flags);
	/* EINVAL: the path is not a mount point (do_reconfigure_mnt() in fs/namespace.c of the kernel). */
	if (result != -EINVAL)
		return result;
	result = mount(path, path, MS_BIND);
	return result < 0 ? result : mount(0, path, flags);
}

static void print(const char *text)
{
	long length = 0;

	while (text[length])
		length++;
	call(__NR_write, 2, (long)text, length);
}

static void print_error(const char *path, long number)
{
	char digits[] = "000\n";

	digits[0] += number / 100;
	digits[1] += number / 10 % 10;
	digits[2] += number % 10;
	print("set-mount-options: ");
	print(path);
	print(": errno ");
	print(digits);
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	long failed = 0;

	for (long index = 2; index < stack[0]; index += 2) {
		const char *path = (const char *)stack[index + 1];
		long result = set_options((const char *)stack[index], path);

		if (result < 0) {
			failed = 1;
			print_error(path, -result);
		}
	}
	for (;;)
		call(__NR_exit, failed, 0, 0);
}
