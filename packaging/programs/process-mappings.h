/*
 * For read-mappings: finds the executable mappings of a process, by PROCMAP_QUERY or else in /proc/PID/maps, and its
 * executable. Include file-table.h first.
 */
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

/* A line of maps that is longer is not examined. The kernel limits the names that PROCMAP_QUERY returns to PATH_MAX. */
#define LONGEST 65536
#define PATH_MAX 4096

struct mapping {
	long file;
	unsigned long start, end;
};

/* What is known about a process. A positive number is the errno of a file that cannot be read. */
enum result { COMPLETE = 0, NO_MEMORY = -1, UNKNOWN = -2 };

static struct mapping mappings[MOST_FILES];
static char text[LONGEST], link_target[LONGEST], path[96];
static long mapped, attempt;
/* Whether the kernel has no PROCMAP_QUERY. */
static int is_old;

/* Sets `path` to a file of a process, and, if there is a mapping, to the one in a folder that its addresses name. */
static void set_path(const char *pid, const char *name, const struct query *mapping)
{
	char digits[24], *last = digits + sizeof(digits), *first, *end = append(path, pid, length_of(pid));

	end = append(end, name, length_of(name));
	if (mapping) {
		first = format(last, mapping->start, 16);
		end = append(end, first, last - first);
		*end++ = '-';
		first = format(last, mapping->end, 16);
		end = append(end, first, last - first);
	}
	*end = '\0';
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

/*
 * Parses a line of maps (proc_pid_maps(5)) up to the name. Returns the start of the name; 0 if the line is malformed.
 * Sets *is_executable to whether the mapping is executable.
 */
static const char *parse_line(const char *at, const char *end, struct query *found, int *is_executable)
{
	unsigned long offset, major, minor;

	at = parse(at, 16, '-', &found->start);
	at = at ? parse(at, 16, ' ', &found->end) : 0;
	if (!at || end - at < 5)
		return 0;
	*is_executable = at[2] == 'x';
	at = parse(at + 5, 16, ' ', &offset);
	at = at ? parse(at, 16, ':', &major) : 0;
	at = at ? parse(at, 16, ' ', &minor) : 0;
	at = at ? parse(at, 10, ' ', &found->inode) : 0;
	if (!at)
		return 0;
	found->major = major;
	found->minor = minor;
	while (at < end && *at == ' ')
		at++;
	return at;
}

/* Adds the mapping in a line of maps if it is executable. Returns 0 if it cannot. */
static int add_line(const char *pid, const char *at, const char *end)
{
	struct query found;
	int is_executable;

	at = parse_line(at, end, &found, &is_executable);
	if (!at)
		return 0;
	/* Anonymous memory has the device 0:0. */
	if (!is_executable || (!found.major && !found.minor))
		return 1;
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

/* Whether the process has threads other than its first. The agent examines them if the first has exited. */
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
