/* For programs without a C library: buffered output to stdout. Include without-library.h first. */
static char output[65536];
static long printed;

static void flush(void)
{
	long done = 0;

	while (done < printed) {
		long count = call(__NR_write, 1, (long)(output + done), printed - done);

		if (count <= 0 && count != -EINTR)
			quit(1);
		if (count > 0)
			done += count;
	}
	printed = 0;
}

static void print(const char *bytes, long size)
{
	for (long index = 0; index < size; index++) {
		if (printed == sizeof(output))
			flush();
		output[printed++] = bytes[index];
	}
}

static inline void print_text(const char *text)
{
	print(text, length_of(text));
}

/* Writes a number that ends before `end`. Returns its start. */
static inline char *format(char *end, unsigned long number, int base)
{
	do
		*--end = "0123456789abcdef"[number % base];
	while (number /= base);
	return end;
}

/* Prints a number after a text. */
static inline void print_number(const char *before, unsigned long number, int base)
{
	char digits[24], *end = digits + sizeof(digits), *start = format(end, number, base);

	print_text(before);
	print(start, end - start);
}
