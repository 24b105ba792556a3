/*
 * read-mappings PID...: prints the files of which processes have mapped a part as executable. The current directory must
 * be a procfs.
 *
 * It prints records, each followed by a null byte:
 *
 *   f MAJOR:MINOR INODE PATH  a file. The files are numbered from 0, in the order of these records, and no two are equal.
 *                             PATH is as the kernel shows it; a deleted file ends with " (deleted)".
 *   a PID START-END...        the addresses of a mapping (the names of links in /proc/PID/map_files) for each file of a
 *                             process whose device has the major number 0, if there is any
 *   u PID ERRNO               a process that the program did not examine completely, with the reason why a file could not
 *                             be read; 0 if the process is to be examined in another way
 *   p PID,... EXE FILE...     the processes with the same files, and the numbers of these files. EXE is the number of a
 *                             record with the device 0:0 and the inode 0, of which PATH is the target of /proc/PID/exe;
 *                             "-" if there is none.
 *   m MAJOR:MINOR             a file system in which the kernel keeps shared or huge anonymous memory
 *   e                         the end
 *
 * A process without a record has no memory, like a kernel thread, or has exited.
 *
 * Used by the check foreign-programs, because the kernel needs a third of the time to find the mappings by
 * PROCMAP_QUERY (Linux 6.11) that it needs to print all mappings, and Node.js has no ioctl(2). On an older kernel, the
 * program reads /proc/PID/maps. The program uses no C library, so it loads no library.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>

#include "without-library.h"
#include "print.h"
#include "file-table.h"
#include "process-mappings.h"
#include "memory-devices.h"

/* The number of processes, and the numbers of files in all groups of processes. */
#define MOST_PROCESSES 16384
#define MOST_NUMBERS (1024 * 1024)
/* A process that executes another program between the opening and the reading of maps seems to have no memory. */
#define ATTEMPTS 2

/* Processes with the same files. */
struct group {
	unsigned long hash;
	long executable;
	/* The numbers of the files. */
	const int *numbers;
	long size;
	/* The first and the last process, as indices of argv. */
	long first, last;
};

static struct group groups[MOST_PROCESSES];
static int numbers[MOST_NUMBERS];
/* The next process of the same group, as an index of argv; 0 at the end. */
static long next[MOST_PROCESSES];
static long known_groups, known_numbers;

/* At most nine digits, more than the kernel gives. */
static int is_pid(const char *string)
{
	long index = 0;

	while (string[index] >= '0' && string[index] <= '9')
		index++;
	return index > 0 && index < 10 && !string[index];
}

static void print_addresses(const char *pid)
{
	int is_first = 1;

	for (long index = 0; index < mapped; index++) {
		if (files[mappings[index].file].major)
			continue;
		if (is_first) {
			print("a ", 2);
			print_text(pid);
		}
		is_first = 0;
		print_number(" ", mappings[index].start, 16);
		print_number("-", mappings[index].end, 16);
	}
	if (!is_first)
		print("", 1);
}

static int is_same_group(const struct group *group, unsigned long hash, long executable)
{
	if (group->hash != hash || group->executable != executable || group->size != mapped)
		return 0;
	for (long index = 0; index < mapped; index++)
		if (group->numbers[index] != mappings[index].file)
			return 0;
	return 1;
}

/* Adds the process to a group. Returns UNKNOWN if there is too much to remember. */
static long add_to_group(long process, long executable)
{
	unsigned long hash = executable;
	struct group *group = groups;

	for (long index = 0; index < mapped; index++)
		hash = hash * 31 + mappings[index].file;
	while (group < groups + known_groups && !is_same_group(group, hash, executable))
		group++;
	if (group < groups + known_groups) {
		next[group->last] = process;
		group->last = process;
		return COMPLETE;
	}
	/* There are no more groups than processes. */
	if (mapped > MOST_NUMBERS - known_numbers)
		return UNKNOWN;
	*group = (struct group){ hash, executable, numbers + known_numbers, mapped, process, process };
	for (long index = 0; index < mapped; index++)
		numbers[known_numbers++] = mappings[index].file;
	known_groups++;
	return COMPLETE;
}

static void print_group(const struct group *group, char **arguments)
{
	print("p ", 2);
	for (long process = group->first; process; process = next[process]) {
		if (process != group->first)
			print(",", 1);
		print_text(arguments[process]);
	}
	if (group->executable < 0)
		print(" -", 2);
	else
		print_number(" ", group->executable, 10);
	for (long index = 0; index < group->size; index++)
		print_number(" ", group->numbers[index], 10);
	print("", 1);
}

static void examine(const char *pid, long process)
{
	long executable = -1, result = NO_MEMORY;

	earlier_files = known_files;
	earlier_bytes = known_bytes;
	for (int tries = 0; tries < ATTEMPTS && result == NO_MEMORY; tries++)
		result = find_mappings(pid);
	if (result == NO_MEMORY && !has_threads(pid))
		return;
	if (result == COMPLETE)
		result = find_executable(pid, &executable);
	/* The first thread has exited since find_mappings. */
	if (result == COMPLETE && executable < 0 && has_threads(pid))
		result = UNKNOWN;
	sort();
	if (result == COMPLETE)
		result = add_to_group(process, executable);
	if (result == COMPLETE) {
		print_addresses(pid);
	} else {
		print("u ", 2);
		print_text(pid);
		print_number(" ", result > 0 ? result : 0, 10);
		print("", 1);
	}
}

__attribute__((used, noreturn)) static void run(long *stack)
{
	char **arguments = (char **)(stack + 1);

	if (stack[0] > MOST_PROCESSES)
		quit(2);
	for (long process = 1; process < stack[0]; process++) {
		if (!is_pid(arguments[process]))
			quit(2);
		examine(arguments[process], process);
	}
	for (long index = 0; index < known_groups; index++)
		print_group(groups + index, arguments);
	print_memory_devices();
	print("e", 2);
	flush();
	quit(0);
}
