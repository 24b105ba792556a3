/*
 * For read-mappings: finds the file systems in which the kernel keeps shared and huge anonymous memory. They are mounted
 * nowhere. Include process-mappings.h first.
 */
#include <linux/mman.h>

/* Prints the device of the mapping of this process that begins at an address. */
static void print_device(unsigned long address)
{
	long filled = 0, start = 0, count, fd = call(__NR_open, (long)"self/maps", O_RDONLY | O_CLOEXEC, 0);
	struct query found;
	int is_executable;

	if (fd < 0)
		return;
	do {
		count = call(__NR_read, fd, (long)(text + filled), sizeof(text) - filled);
		filled += count > 0 ? count : 0;
	} while (count > 0 || count == -EINTR);
	call(__NR_close, fd, 0, 0);
	for (long index = 0; index < filled; index++) {
		if (text[index] != '\n')
			continue;
		if (parse_line(text + start, text + index, &found, &is_executable) && found.start == address) {
			print_number("m ", found.major, 10);
			print_number(":", found.minor, 10);
			print("", 1);
		}
		start = index + 1;
	}
}

/* Maps memory of each kind, which nothing uses, and prints its device. A kind that the kernel does not have is left out. */
static void print_memory_devices(void)
{
	static const long kinds[] = { 0, MAP_HUGETLB | MAP_HUGE_2MB, MAP_HUGETLB | MAP_HUGE_1GB };
	/* Without a reserve, there may be no free huge page. */
	const long flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;

	for (unsigned long kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		/* The kernel rounds the size up to that of a huge page. */
		long address = call6(__NR_mmap, 0, 4096, PROT_NONE, flags | kinds[kind], -1, 0);

		if (address >= 0 || address < -4095)
			print_device(address);
	}
}
