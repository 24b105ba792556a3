/*
 * For read-mappings: numbers the files that it finds, and prints each new file. Include print.h first.
 */
/* The size of the names of all files, the number of files, and the size of the hash table, a power of two. */
#define MOST_BYTES (8 * 1024 * 1024)
#define MOST_FILES 32768
#define BUCKETS 65536
/* The share of the names and files that a single process may use, so that the others can still be examined. */
#define SHARE 8

struct file {
	unsigned int major, minor;
	unsigned long inode;
	const char *name;
	long size;
	/* The last attempt in which the file was found. */
	long found;
};

static struct file files[MOST_FILES];
/* The number of a file plus 1. */
static int buckets[BUCKETS];
static char names[MOST_BYTES];
static long known_files, known_bytes;
/* The number of files, and the size of their names, before the process that is being examined. */
static long earlier_files, earlier_bytes;

/* Appends a string and returns the new end. */
static char *append(char *end, const char *string, long size)
{
	while (size--)
		*end++ = *string++;
	return end;
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
	print_number("f ", major, 10);
	print_number(":", minor, 10);
	print_number(" ", inode, 10);
	print(" ", 1);
	print(file->name, size);
	print("", 1);
	return known_files - 1;
}
