/*
 * scratch-mark: reads and writes the mark of a device that every sealed boot may format (SCRATCH_DEVICE).
 *
 *   scratch-mark empty DEVICE                      whether the device is blank: its first and last MiB, and samples between
 *   scratch-mark erase DEVICE                      writes zeros to the first and the last MiB
 *   scratch-mark write DEVICE MACHINE IDENTITY     marks a device whose first and last MiB are blank
 *   scratch-mark check DEVICE MACHINE IDENTITY     whether the device has the mark, and nothing else beside it
 *   scratch-mark table DEVICE MACHINE IDENTITY     the same, and prints a table of dm-crypt (dmsetup(8)) with a new random key
 *   scratch-mark discard DEVICE MACHINE IDENTITY   the same as check, and discards everything between the first and the last MiB
 *
 * The mark is the text "immutafs-scratch 1\nmachine MACHINE\ndevice IDENTITY\n" at the beginning of the device. All other
 * bytes of the first and the last MiB are 0, and what is between them belongs to dm-crypt. Partition tables, file systems,
 * LVM, md, LUKS, bcache and ZFS all write to the first or the last MiB. A device that another program has used since it was
 * marked therefore has no valid mark. ansible/plugins/module_utils/scratch_mark.py writes the same mark; the tests give the
 * marks of test/fixtures/scratch-marks.json to both.
 *
 * Every command opens the device exclusively: the kernel refuses this if the device, or a partition of it, is mounted, is
 * swap, or is part of another device (block/bdev.c, bd_may_claim()). The program prints the key and stores it nowhere, so
 * that it is not on a command line, which other users can read.
 *
 * Exit code: 0; 1 with the reason on stdout, as a predicate whose subject is the device. This program uses no C
 * library, so it loads no library.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <stddef.h>

#include "without-library.h"

#include "print.h"

#define MIB 1048576L
#define SECTOR 512
/* mkfs.ext4(8) makes a useful file system from this size on. */
#define SMALLEST (64 * MIB)
#define SAMPLES 64
#define DISCARD_BYTES (256 * MIB) /* between two of them, a signal ends the program */
#define KEY_BYTES 64 /* aes-xts-plain64 with two keys of 256 bits */

static char buffer[MIB], mark[4096];
static long mark_length, device, bytes;

__attribute__((noreturn)) static void fail(const char *reason)
{
	print_text(reason);
	print("\n", 1);
	flush();
	quit(1);
}

__attribute__((noreturn)) static void fail_with(const char *reason, long number)
{
	print_number(reason, number, 10);
	fail("");
}

static void open_device(const char *path, int writable)
{
	struct stat found;
	int read_only = 0;

	device = call(__NR_open, (long)path, (writable ? O_RDWR : O_RDONLY) | O_EXCL | O_CLOEXEC | O_NONBLOCK, 0);
	if (device == -ENOENT || device == -ENXIO || device == -ENODEV)
		fail("does not exist");
	if (device == -EBUSY)
		fail("is in use: it, or a partition of it, is mounted, is swap, or is part of another device");
	if (device == -EROFS || device == -EACCES || device == -EPERM)
		fail("is read-only");
	if (device < 0)
		fail_with("cannot be opened: errno ", -device);
	if (call(__NR_fstat, device, (long)&found, 0) < 0 || (found.st_mode & 0170000) != 0060000) /* S_ISBLK(3) */
		fail("is not a block device");
	if (call(__NR_ioctl, device, BLKROGET, (long)&read_only) < 0 || read_only)
		fail("is read-only");
	if (call(__NR_ioctl, device, BLKGETSIZE64, (long)&bytes) < 0)
		fail("does not report its size");
	if (bytes < SMALLEST) {
		print_number("is too small: it has ", bytes / MIB, 10);
		fail(" MiB, and 64 MiB are needed");
	}
}

/* Fills the buffer from the device. */
static void read_at(long position)
{
	for (long done = 0; done < MIB;) {
		long count = call5(__NR_pread64, device, (long)(buffer + done), MIB - done, position + done, 0);

		if (count == -EINTR)
			continue;
		if (count <= 0)
			fail_with("cannot be read at byte ", position + done);
		done += count;
	}
}

static void write_at(long position, const char *from, long size)
{
	for (long done = 0; done < size;) {
		long count = call5(__NR_pwrite64, device, (long)(from + done), size - done, position + done, 0);

		if (count == -EINTR)
			continue;
		if (count <= 0)
			fail_with("cannot be written at byte ", position + done);
		done += count;
	}
}

static void sync_device(void)
{
	if (call(__NR_fsync, device, 0, 0) < 0)
		fail("cannot be written: fsync failed");
}

/* Returns the index of the first byte of the buffer from `start` on that is not 0; MIB if there is none. */
static long find_content(long start)
{
	while (start < MIB && !buffer[start])
		start++;
	return start;
}

static void require_blank(long position, long start)
{
	long found = find_content(start);

	if (found < MIB)
		fail_with("has other data: byte ", position + found);
}

static void require_blank_device(void)
{
	long last = bytes - MIB;

	for (long sample = 0; sample <= SAMPLES; sample++) {
		long position = sample == SAMPLES ? last : last / SAMPLES * sample;

		position -= position % SECTOR;
		read_at(position);
		require_blank(position, 0);
	}
}

static void add_to_mark(const char *text)
{
	while (*text) {
		if (mark_length == sizeof(mark))
			fail("cannot be marked: the names of the machine and the device are too long");
		mark[mark_length++] = *text++;
	}
}

/* A name that contains a control character could pose as another line of the mark. */
static void require_name(const char *name)
{
	if (!*name)
		fail("cannot be used: the name of the machine or of the device is empty");
	for (; *name; name++)
		if (*name <= ' ' || *name > '~')
			fail("cannot be used: the name of the machine or of the device has other characters than ASCII");
}

static void make_mark(const char *machine, const char *identity)
{
	require_name(machine);
	require_name(identity);
	add_to_mark("immutafs-scratch 1\nmachine ");
	add_to_mark(machine);
	add_to_mark("\ndevice ");
	add_to_mark(identity);
	add_to_mark("\n");
}

/* Returns whether the text at *position continues with a word, and moves *position after it. */
static int skip_word(long *position, const char *word)
{
	for (; *word; word++)
		if (buffer[(*position)++] != *word)
			return 0;
	return 1;
}

/* Compares a line of the mark in the buffer, from *position on, with what it must be. Moves *position after the line. */
static void require_line(long *position, const char *key, const char *wanted, const char *reason)
{
	long start, equal = 1;

	if (!skip_word(position, key))
		fail("has a mark that this version does not know");
	start = *position;
	while (*position < (long)sizeof(mark) && buffer[*position] > ' ' && buffer[*position] <= '~') {
		equal = equal && *wanted == buffer[*position];
		wanted += *wanted != 0;
		(*position)++;
	}
	if (*position == (long)sizeof(mark) || buffer[*position] != '\n')
		fail("has a damaged mark");
	if (!equal || *wanted || *position == start) {
		print_text(reason);
		print(buffer + start, *position - start);
		fail("");
	}
	(*position)++;
}

static void require_mark(const char *machine, const char *identity)
{
	long position = 0;

	require_name(machine);
	require_name(identity);
	read_at(0);
	if (!skip_word(&position, "immutafs-scratch "))
		fail(find_content(0) == MIB ? "has no mark" : "has no mark, and other data");
	require_line(&position, "1\nmachine ", machine, "is marked for another machine: ");
	require_line(&position, "device ", identity, "has the mark of another device: ");
	require_blank(0, position);
	read_at(bytes - MIB);
	require_blank(bytes - MIB, 0);
}

static void erase_device(void)
{
	for (long index = 0; index < MIB; index++)
		buffer[index] = 0;
	write_at(0, buffer, MIB);
	write_at(bytes - MIB, buffer, MIB);
	sync_device();
}

static void discard_device(void)
{
	const long end = bytes - MIB;

	for (long start = MIB; start < end; start += DISCARD_BYTES) {
		unsigned long range[2] = {start, end - start < DISCARD_BYTES ? end - start : DISCARD_BYTES};
		long result = call(__NR_ioctl, device, BLKDISCARD, (long)range);

		if (result == -EOPNOTSUPP)
			fail("does not support discard");
		if (result < 0)
			fail_with("cannot be discarded: errno ", -result);
	}
}

/* Prints a table with a random key. Waits until the kernel's random number generator is initialised (getrandom(2)). */
static void print_table(void)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char key[KEY_BYTES];
	struct stat found;

	for (long done = 0; done < KEY_BYTES;) {
		long count = call(__NR_getrandom, (long)(key + done), KEY_BYTES - done, 0);

		if (count == -EINTR)
			continue;
		if (count <= 0)
			fail("cannot be encrypted: the kernel has no getrandom(2)");
		done += count;
	}
	if (call(__NR_fstat, device, (long)&found, 0) < 0)
		fail("cannot be read");
	print_number("0 ", (bytes - 2 * MIB) / SECTOR, 10);
	print_text(" crypt aes-xts-plain64 ");
	for (long index = 0; index < KEY_BYTES; index++) {
		print(digits + key[index] / 16, 1);
		print(digits + key[index] % 16, 1);
	}
	/* new_encode_dev() in the kernel */
	print_number(" 0 ", found.st_rdev >> 8 & 0xfff, 10);
	print_number(":", (found.st_rdev & 0xff) | (found.st_rdev >> 12 & 0xfff00), 10);
	print_number(" ", MIB / SECTOR, 10);
	print_text(" 1 allow_discards\n");
	flush();
}

static int is(const char *word, const char *other)
{
	while (*word && *word == *other)
		word++, other++;
	return *word == *other;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	char **arguments = (char **)(stack + 1);
	long count = stack[0];
	int named = count == 5;

	if (count == 3 && is(arguments[1], "empty")) {
		open_device(arguments[2], 0);
		require_blank_device();
	} else if (count == 3 && is(arguments[1], "erase")) {
		open_device(arguments[2], 1);
		erase_device();
	} else if (named && is(arguments[1], "write")) {
		make_mark(arguments[3], arguments[4]);
		open_device(arguments[2], 1);
		read_at(0);
		require_blank(0, 0);
		read_at(bytes - MIB);
		require_blank(bytes - MIB, 0);
		write_at(0, mark, sizeof(mark));
		sync_device();
	} else if (named && is(arguments[1], "check")) {
		open_device(arguments[2], 0);
		require_mark(arguments[3], arguments[4]);
	} else if (named && is(arguments[1], "table")) {
		/* dm-crypt writes to the device. */
		open_device(arguments[2], 1);
		require_mark(arguments[3], arguments[4]);
		print_table();
	} else if (named && is(arguments[1], "discard")) {
		open_device(arguments[2], 1);
		require_mark(arguments[3], arguments[4]);
		discard_device();
	} else {
		fail("cannot be used: unknown command of scratch-mark");
	}
	quit(0);
}
