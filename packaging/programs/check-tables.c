/*
 * check-tables [MAJOR:MINOR...]: checks the tables of device-mapper devices, of all devices by default. Prints a line for
 * each device: its number and, if the content of the device may differ from that of the devices below it, a space and
 * the type of the first target for which this is so. Exit code: 0; 1 if there is such a device, or a given device does
 * not exist; 2 if the tables cannot be read.
 *
 * Used where a device counts as read-only because the disks below it are read-only. Root can load a table that shows
 * other content than such a disk (the feature corrupt_bio_byte of the target flakey), and chooses the name and the UUID of
 * the device. Only the kernel knows the table, and sysfs does not show it. The boot scripts and the agent run this program,
 * so that both have the same rule. It uses no C library, so it loads no library and works in the initramfs.
 */
#include <asm/ioctl.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/dm-ioctl.h>
#include <linux/fcntl.h>

#include "without-library.h"

#include "print.h"

/* Misc device 236, MAPPER_CTRL_MINOR (linux/miscdevice.h), in the encoding of stat(2). */
#define CONTROL_DEVICE (10 << 8 | 236)
#define FIRST_SIZE 16384
#define LAST_SIZE (1 << 20)

static union {
	struct dm_ioctl header;
	char bytes[LAST_SIZE];
} request;

static int begins(const char *text, const char *start)
{
	while (*start != '\0')
		if (*text++ != *start++)
			return 0;
	return 1;
}

static int is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (begins(text, *words))
			return 1;
	return 0;
}

/*
 * Targets that return each sector of the devices below unchanged: linear and striped (LVM), multipath, mirror, the
 * origin of a snapshot, and the levels of raid without parity. A degraded RAID 4, 5 or 6 computes sectors from others.
 * crypt is accepted with the ciphers that cryptsetup uses by default, because an attacker cannot choose to what content
 * another key decrypts a sector. With cipher_null and an initialization vector such as tcw, or with plain64 in the mode
 * cbc, an attacker can.
 */
static int is_permitted(const char *type, const char *parameters)
{
	static const char *const direct[] = {
		"linear\n", "striped\n", "multipath\n", "mirror\n", "snapshot-origin\n", 0
	};
	static const char *const levels[] = { "raid0 ", "raid0_meta ", "raid1 ", "raid10 ", 0 };
	static const char *const ciphers[] = { "aes-xts-plain64 ", "aes-cbc-essiv:sha256 ", 0 };
	char word[DM_MAX_TYPE_NAME + 2];
	int length = 0;

	while (type[length] != '\0' && length < DM_MAX_TYPE_NAME) {
		word[length] = type[length];
		length++;
	}
	word[length] = '\n';
	word[length + 1] = '\0';
	if (begins(word, "raid\n"))
		return is_one_of(parameters, levels);
	if (begins(word, "crypt\n"))
		return is_one_of(parameters, ciphers);
	return is_one_of(word, direct);
}

/* Returns 0, or -errno. The kernel wipes its buffer afterwards, because the table of a crypt target contains the key. */
static long ask(long control, unsigned long command, unsigned long long device)
{
	for (unsigned size = FIRST_SIZE;; size = LAST_SIZE) {
		long result;

		for (unsigned index = 0; index < sizeof(request.header); index++)
			((volatile char *)request.bytes)[index] = 0;
		request.header.version[0] = DM_VERSION_MAJOR;
		request.header.data_size = size;
		request.header.data_start = sizeof(request.header);
		request.header.flags = DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG | DM_SECURE_DATA_FLAG;
		request.header.dev = device;
		result = call(__NR_ioctl, control, command, (long)request.bytes);
		if (result < 0 || !(request.header.flags & DM_BUFFER_FULL_FLAG))
			return result;
		if (size == LAST_SIZE)
			return -E2BIG;
	}
}

/* Prints the line of a device; returns whether its table is permitted. dev_t as in huge_encode_dev() (linux/kdev_t.h). */
static int check(long control, unsigned long long device)
{
	const char *data = request.bytes + sizeof(request.header);
	unsigned long offset = 0;
	long result;

	print_number("", device >> 8 & 0xfff, 10);
	print_number(":", (device & 0xff) | (device >> 12 & 0xfff00), 10);
	result = ask(control, DM_TABLE_STATUS, device);
	if (result < 0) {
		print(" unreadable\n", 12);
		return 0;
	}
	for (unsigned index = 0; index < request.header.target_count; index++) {
		const struct dm_target_spec *target = (const struct dm_target_spec *)(data + offset);
		const char *parameters = (const char *)(target + 1);

		if (!is_permitted(target->target_type, parameters)) {
			print(" ", 1);
			print_text(target->target_type);
			print("\n", 1);
			return 0;
		}
		offset = target->next;
	}
	print("\n", 1);
	return 1;
}

/* Returns the number of a device, as in huge_encode_dev(), or -1 if the text is not MAJOR:MINOR. */
static long long parse(const char *text)
{
	unsigned long long numbers[2] = { 0, 0 };

	for (int part = 0; part < 2; part++) {
		if (*text < '0' || *text > '9')
			return -1;
		for (; *text >= '0' && *text <= '9'; text++)
			if ((numbers[part] = numbers[part] * 10 + (*text - '0')) > 0xfffff)
				return -1;
		if (*text != (part == 0 ? ':' : '\0'))
			return -1;
		text++;
	}
	return (numbers[1] & 0xff) | numbers[0] << 8 | (numbers[1] & 0xfff00) << 12;
}

static long open_control(void)
{
	struct stat stat;
	long control = call(__NR_open, (long)"/dev/mapper/control", O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);

	if (control < 0 || call(__NR_fstat, control, (long)&stat, 0) < 0)
		quit(2);
	if ((stat.st_mode & 0170000) != 0020000 || stat.st_rdev != CONTROL_DEVICE)
		quit(2);
	return control;
}

static int check_all(long control)
{
	static unsigned long long devices[16384];
	const char *data = request.bytes + sizeof(request.header);
	unsigned long offset = 0, count = 0;
	int permitted = 1;

	if (ask(control, DM_LIST_DEVICES, 0) < 0)
		quit(2);
	for (;;) {
		const struct dm_name_list *found = (const struct dm_name_list *)(data + offset);

		/* Without any device, the kernel returns one entry with the number 0. */
		if (found->dev == 0)
			break;
		if (count == sizeof(devices) / sizeof(devices[0]))
			quit(2);
		devices[count++] = found->dev;
		if (found->next == 0)
			break;
		offset += found->next;
	}
	for (unsigned long index = 0; index < count; index++)
		permitted &= check(control, devices[index]);
	return permitted;
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	long control = open_control();
	int permitted = 1;

	if (stack[0] == 1)
		permitted = check_all(control);
	for (long index = 1; index < stack[0]; index++) {
		long long device = parse((const char *)stack[index + 1]);

		permitted &= device >= 0 && check(control, device);
	}
	flush();
	quit(permitted ? 0 : 1);
}
