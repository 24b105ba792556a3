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
 *   e                         the end
 *
 * A process without a record has no memory, like a kernel thread, or has exited.
 *
 * Used by the check foreign-programs, because the kernel needs a third of the time to find the mappings by
 * PROCMAP_QUERY (Linux 6.11) that it needs to print all mappings, and Node.js has no ioctl(2). On an older kernel, the
 * program reads /proc/PID/maps. The program does without a C library, so it loads no library.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>

#include "without-library.h"
#include "print.h"

/* PROCMAP_QUERY of linux/fs.h, which older headers do not define. */
struct query {
	unsigned long size, flags, address, start, end, permissions, page_size, offset, inode;
	unsigned int major, minor, name_size, build_id_size;
	unsigned long name, build_id;
};
#define QUERY 0xc0686611UL
#define EXECUTABLE 0x04
#define COVERING_OR_NEXT 0x10
#define FILE_BACKED 0x20

/* The size of the names of all files, the number of files, and the size of the hash table, a power of two. */
#define MOST_BYTES (8 * 1024 * 1024)
#define MOST_FILES 32768
#define BUCKETS 65536
/* The part of the names and files that a single process may take, so that it does not keep others from being examined. */
#define SHARE 8
/* The number of processes, and the numbers of files in all groups of processes. */
#define MOST_PROCESSES 16384
#define MOST_NUMBERS (1024 * 1024)
/* A line of maps that is longer is not examined. The kernel limits the names that PROCMAP_QUERY returns to PATH_MAX. */
#define LONGEST 65536
#define PATH_MAX 4096
/* A process that executes another program between the opening and the reading of maps seems to have no memory. */
#define ATTEMPTS 2

struct file {
	unsigned int major, minor;
	unsigned long inode;
	const char *name;
	long size;
	/* The last attempt in which the file was found. */
	long found;
};

struct mapping {
	long file;
	unsigned long start, end;
};

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

/* What is known about a process. A positive number is the errno of a file that cannot be read. */
enum result { COMPLETE = 0, NO_MEMORY = -1, UNKNOWN = -2 };

static struct file files[MOST_FILES];
static struct mapping mappings[MOST_FILES];
/* The number of a file plus 1. */
static int buckets[BUCKETS];
static struct group groups[MOST_PROCESSES];
static int numbers[MOST_NUMBERS];
/* The next process of the same group, as an index of argv; 0 at the end. */
static long next[MOST_PROCESSES];
static char names[MOST_BYTES], text[LONGEST], link_target[LONGEST], path[96];
static long known_files, known_bytes, earlier_files, earlier_bytes, known_groups, known_numbers, mapped, attempt;
/* Whether the kernel has no PROCMAP_QUERY. */
static int is_old;

/* Writes a number that ends before `end`. Returns its start. */
static char *format(char *end, unsigned long number, int base)
{
	do
		*--end = "0123456789abcdef"[number % base];
	while (number /= base);
	return end;
}

static void print_number(char before, unsigned long number, int base)
{
	char digits[24], *end = digits + sizeof(digits), *start = format(end, number, base);

	*--start = before;
	print(start, end - start);
}

static long length(const char *string)
{
	long result = 0;

	while (string[result])
		result++;
	return result;
}

/* At most nine digits, more than the kernel gives. */
static int is_pid(const char *string)
{
	long index = 0;

	while (string[index] >= '0' && string[index] <= '9')
		index++;
	return index > 0 && index < 10 && !string[index];
}

/* Appends a string and returns the new end. */
static char *append(char *end, const char *string, long size)
{
	while (size--)
		*end++ = *string++;
	return end;
}

/* Sets `path` to a file of a process, and, if there is a mapping, to the one in a folder that its addresses name. */
static void set_path(const char *pid, const char *name, const struct query *mapping)
{
	char digits[24], *last = digits + sizeof(digits), *first, *end = append(path, pid, length(pid));

	end = append(end, name, length(name));
	if (mapping) {
		first = format(last, mapping->start, 16);
		end = append(end, first, last - first);
		*end++ = '-';
		first = format(last, mapping->end, 16);
		end = append(end, first, last - first);
	}
	*end = '\0';
}

static int is_equal(const char *one, const char *other, long size)
{
	for (long index = 0; index < size; index++)
		if (one[index] != other[index])
			return 0;
	return 1;
}

/* Returns the number of a file, which it prints if it is new; -1 if there are too many. */
static long number_of(unsigned int major, unsigned int minor, unsigned long inode, const char *name, long size)
{
	unsigned long hash = inode * 31 + minor * 7 + major;
	struct file *file;
	long bucket;

	for (long index = 0; index < size; index++)
		hash = (hash ^ (unsigned char)name[index]) * 0x100000001b3UL;
	for (bucket = hash % BUCKETS; buckets[bucket]; bucket = (bucket + 1) % BUCKETS) {
		file = files + buckets[bucket] - 1;
		if (file->inode == inode && file->minor == minor && file->major == major && file->size == size &&
		    is_equal(file->name, name, size))
			return buckets[bucket] - 1;
	}
	if (known_files == MOST_FILES || size > MOST_BYTES - known_bytes ||
	    known_files - earlier_files == MOST_FILES / SHARE ||
	    known_bytes + size - earlier_bytes > MOST_BYTES / SHARE)
		return -1;
	file = files + known_files;
	file->major = major;
	file->minor = minor;
	file->inode = inode;
	file->name = names + known_bytes;
	file->size = size;
	append(names + known_bytes, name, size);
	known_bytes += size;
	buckets[bucket] = ++known_files;
	print("f", 1);
	print_number(' ', major, 10);
	print_number(':', minor, 10);
	print_number(' ', inode, 10);
	print(" ", 1);
	print(file->name, size);
	print("", 1);
	return known_files - 1;
}

/* Adds a mapping of the process, unless it has one of the same file. Returns 0 if there are too many files. */
static int add(const struct query *found, const char *name, long size)
{
	long number = number_of(found->major, found->minor, found->inode, name, size);

	if (number < 0)
		return 0;
	if (files[number].found != attempt) {
		files[number].found = attempt;
		mappings[mapped++] = (struct mapping){ number, found->start, found->end };
	}
	return 1;
}

static long query_mappings(long fd)
{
	struct query query = { .end = 0 };

	for (;;) {
		unsigned long from = query.end;
		long failed;

		query = (struct query){
			.size = sizeof(query),
			.flags = EXECUTABLE | COVERING_OR_NEXT | FILE_BACKED,
			.address = from,
			.name_size = PATH_MAX,
			.name = (unsigned long)text,
		};
		failed = -call(__NR_ioctl, fd, QUERY, (long)&query);
		if (failed == ENOENT)
			return COMPLETE;
		if (failed == ESRCH)
			return NO_MEMORY;
		if (failed == ENOTTY)
			is_old = 1;
		/* The size includes the null character. */
		if (failed || !query.name_size || !add(&query, text, query.name_size - 1))
			return UNKNOWN;
	}
}

/* Reads a number up to another character. Returns the position after this character; 0 if there is no number. */
static const char *parse(const char *at, unsigned long base, char after, unsigned long *number)
{
	const char *start = at;

	for (*number = 0;; at++) {
		int is_decimal = *at >= '0' && *at <= '9';

		if (!is_decimal && (base == 10 || *at < 'a' || *at > 'f'))
			break;
		*number = *number * base + *at - (is_decimal ? '0' : 'a' - 10);
	}
	return at > start && *at == after ? at + 1 : 0;
}

static int is_newline(const char *at, const char *end)
{
	return end - at >= 4 && is_equal(at, "\\012", 4);
}

/* Whether maps shows a name in this way. */
static int is_shown(const char *name, long size, const char *at, const char *end)
{
	for (long index = 0; index < size; index++) {
		if (name[index] == '\n' ? !is_newline(at, end) : at == end || *at != name[index])
			return 0;
		at += name[index] == '\n' ? 4 : 1;
	}
	return at == end;
}

/*
 * Writes the name of a mapped file to link_target and returns its size. Maps shows a newline as "\012", and a backslash
 * as it is. The link in map_files tells them apart, if it can be read.
 */
static long decode(const char *pid, const struct query *mapping, const char *at, const char *end)
{
	long size = 0;

	set_path(pid, "/map_files/", mapping);
	size = call(__NR_readlink, (long)path, (long)link_target, sizeof(link_target));
	if (size >= 0 && is_shown(link_target, size, at, end))
		return size;
	for (size = 0; at < end; size++) {
		int newline = is_newline(at, end);

		link_target[size] = newline ? '\n' : *at;
		at += newline ? 4 : 1;
	}
	return size;
}

/* Adds the mapping in a line of maps (proc_pid_maps(5)) if it is executable. Returns 0 if it cannot. */
static int add_line(const char *pid, const char *at, const char *end)
{
	struct query found;
	unsigned long offset, major, minor;

	at = parse(at, 16, '-', &found.start);
	at = at ? parse(at, 16, ' ', &found.end) : 0;
	if (!at || end - at < 5)
		return 0;
	if (at[2] != 'x')
		return 1;
	at = parse(at + 5, 16, ' ', &offset);
	at = at ? parse(at, 16, ':', &major) : 0;
	at = at ? parse(at, 16, ' ', &minor) : 0;
	if (!at)
		return 0;
	/* Anonymous memory. */
	if (!major && !minor)
		return 1;
	at = parse(at, 10, ' ', &found.inode);
	if (!at)
		return 0;
	found.major = major;
	found.minor = minor;
	while (at < end && *at == ' ')
		at++;
	for (const char *each = at; each < end; each++)
		if (is_newline(each, end))
			return add(&found, link_target, decode(pid, &found, at, end));
	return add(&found, at, end - at);
}

static long read_mappings(const char *pid, long fd)
{
	long filled = 0;
	int is_empty = 1;

	for (;;) {
		long start = 0, count = call(__NR_read, fd, (long)(text + filled), sizeof(text) - filled);

		if (count == -EINTR)
			continue;
		/* A line that does not fit leaves no room, so that the read returns 0. */
		if (count <= 0)
			return count == -ESRCH || (!count && is_empty) ? NO_MEMORY : count ? -count : filled ? UNKNOWN : COMPLETE;
		is_empty = 0;
		for (long index = filled; index < filled + count; index++) {
			if (text[index] != '\n')
				continue;
			if (!add_line(pid, text + start, text + index))
				return UNKNOWN;
			start = index + 1;
		}
		filled += count - start;
		for (long index = 0; index < filled; index++)
			text[index] = text[start + index];
	}
}

/* Sorts the mappings by file, because processes map the same libraries in different orders. */
static void sort(void)
{
	for (long step = mapped / 2; step; step /= 2)
		for (long index = step; index < mapped; index++) {
			struct mapping moved = mappings[index];
			long to = index;

			for (; to >= step && mappings[to - step].file > moved.file; to -= step)
				mappings[to] = mappings[to - step];
			mappings[to] = moved;
		}
}

static void begin(void)
{
	attempt++;
	mapped = 0;
}

static long find_mappings(const char *pid)
{
	long fd, result = UNKNOWN;

	set_path(pid, "/maps", 0);
	fd = call(__NR_open, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ESRCH ? NO_MEMORY : -fd;
	begin();
	if (!is_old)
		result = query_mappings(fd);
	if (result == UNKNOWN) {
		begin();
		result = read_mappings(pid, fd);
	}
	call(__NR_close, fd, 0, 0);
	return result;
}

/* Whether the process has threads other than its first, which may have exited. They are examined one by one. */
static int has_threads(const char *pid)
{
	struct stat stat;

	/* The number of links of the folder is the number of threads plus 2 (fs/proc/base.c). */
	set_path(pid, "/task", 0);
	return !call(__NR_stat, (long)path, (long)&stat, 0) && stat.st_nlink > 3;
}

/* Sets *number to that of the executable, or to -1 if there is none. */
static long find_executable(const char *pid, long *number)
{
	long size;

	set_path(pid, "/exe", 0);
	size = call(__NR_readlink, (long)path, (long)link_target, sizeof(link_target));
	*number = size < 0 ? -1 : number_of(0, 0, 0, link_target, size);
	if (size < 0)
		return size == -ENOENT || size == -ESRCH ? COMPLETE : -size;
	return *number < 0 ? UNKNOWN : COMPLETE;
}

static void print_addresses(const char *pid)
{
	int is_first = 1;

	for (long index = 0; index < mapped; index++) {
		if (files[mappings[index].file].major)
			continue;
		if (is_first) {
			print("a ", 2);
			print(pid, length(pid));
		}
		is_first = 0;
		print_number(' ', mappings[index].start, 16);
		print_number('-', mappings[index].end, 16);
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
		print(arguments[process], length(arguments[process]));
	}
	if (group->executable < 0)
		print(" -", 2);
	else
		print_number(' ', group->executable, 10);
	for (long index = 0; index < group->size; index++)
		print_number(' ', group->numbers[index], 10);
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
	sort();
	if (result == COMPLETE)
		result = add_to_group(process, executable);
	if (result == COMPLETE) {
		print_addresses(pid);
	} else {
		print("u ", 2);
		print(pid, length(pid));
		print_number(' ', result > 0 ? result : 0, 10);
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
	print("e", 2);
	flush();
	quit(0);
}
