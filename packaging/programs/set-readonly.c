/*
 * set-readonly DEVICE: sets a block device read-only, as `blockdev --setro` does (BLKROSET, linux/fs.h).
 *
 * Used in the initramfs, where a device must be read-only before it is mounted. blockdev(8) would add three times as
 * much to the initramfs as all other files of this package. This program uses no C library: it is one page and
 * loads no library. Exit code: 0, or 1 if the device cannot be opened or the ioctl fails.
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "without-library.h"

__attribute__((used, noreturn)) static void run(long *stack)
{
	static const int on = 1;
	long fd = -1;

	if (stack[0] == 2)
		fd = call(__NR_open, stack[2], O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd >= 0)
		fd = call(__NR_ioctl, fd, BLKROSET, (long)&on);
	quit(fd < 0);
}
