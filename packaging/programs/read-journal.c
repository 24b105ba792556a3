/*
 * Prints the entries of this boot in the export format (systemd.io/JOURNAL_EXPORT_FORMATS), from a cursor or from the
 * first entry on, and then each entry that is added:
 *
 *   read-journal [--blocks] {CURSOR|boot} [FIELD…]
 *
 * With a cursor, the output is that of `journalctl --output=export --follow --no-tail --cursor=CURSOR
 * --output-fields=FIELD,…`, in half of its processor time: most values are ASCII, which is recognised without decoding
 * UTF-8, and the output is written 64 KiB at a time while there are further entries. Without FIELD, all fields are
 * printed. __SEQNUM and __SEQNUM_ID are not printed: systemd-journal-remote ignores them, and before version 254 it logs
 * a message for each of them.
 *
 * With --blocks, the output consists of blocks, so that the reader need not search for the entries. A block begins with
 * a header of 20 characters, three right-aligned numbers: "COUNT LAST SIZE\n". SIZE bytes follow: COUNT complete entries
 * with consecutive sequence numbers, of which the last one begins at offset LAST. If COUNT is 0, the bytes are a part of
 * an entry that is larger than a block; the entry ends at the end of a block.
 *
 * The program stops at the first error, such as a corrupt entry, with exit code 1 and a message. The caller then uses
 * journalctl, which can skip such an entry. It also stops when the process that started it has ended.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <systemd/sd-journal.h>

/* The size of a block with its header: as much as Node.js reads from a pipe at a time. */
#define BLOCK 65536
#define HEADER 20

static bool in_blocks;
/* A header and the content of a block. */
static char block[BLOCK];
static char *const content = block + HEADER;
static size_t used;
/*
 * The number of complete entries in the block. The four lines with which each entry begins take 180 bytes, so the number
 * is far below the limit of the reader (runEntries in agent/lib/journal-export/entry.ts).
 */
static unsigned count;
/* Their size, and the offset of the last one. */
static size_t complete_size, last_offset;
/* The sequence number of the last one. */
static uint64_t sequence;
static sd_id128_t sequence_id;
/* Whether a part of the current entry is written. */
static bool is_divided;

static void fail(const char *action, int error) {
	fprintf(stderr, "read-journal: Failed to %s: %s\n", action, strerror(-error));
	_exit(1);
}

static void write_all(const char *data, size_t size) {
	while (size > 0) {
		ssize_t written = write(STDOUT_FILENO, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			fail("write", -errno);
		data += written;
		size -= (size_t)written;
	}
}

/* Writes a block with the beginning of the content, which it removes. */
static void write_block(size_t size) {
	if (size == 0)
		return;
	if (in_blocks) {
		char header[HEADER + 1];
		snprintf(header, sizeof header, "%5u %6zu %6zu\n", count, last_offset, size);
		memcpy(block, header, HEADER);
		write_all(block, HEADER + size);
	} else {
		write_all(content, size);
	}
	used -= size;
	memmove(content, content + size, used);
	count = 0;
	last_offset = complete_size = 0;
}

/* Writes the complete entries. */
static void flush(void) {
	write_block(complete_size);
}

static void put(const void *data, size_t size) {
	const char *rest = data;
	while (size > BLOCK - HEADER - used) {
		if (complete_size > 0) {
			flush();
			continue;
		}
		size_t part = BLOCK - HEADER - used;
		memcpy(content + used, rest, part);
		used += part;
		rest += part;
		size -= part;
		is_divided = true;
		write_block(used);
	}
	memcpy(content + used, rest, size);
	used += size;
}

/*
 * Whether a value is valid UTF-8 without control characters, except for the tab, and without noncharacters. journalctl
 * prints such values as text (systemd, src/basic/utf8.c, utf8_is_printable_newline).
 */
static bool is_printable(const unsigned char *text, size_t size) {
	/* The first code point that needs so many bytes. */
	static const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000};
	for (size_t length; size > 0; text += length, size -= length) {
		uint32_t point = *text;
		length = point < 0x80 ? 1 : point < 0xc0 ? 0 : point < 0xe0 ? 2 : point < 0xf0 ? 3 : point < 0xf8 ? 4 : 0;
		if (length == 0 || length > size)
			return false;
		if (length > 1)
			point &= 0x7f >> length;
		for (size_t i = 1; i < length; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return false;
			point = point << 6 | (text[i] & 0x3f);
		}
		bool is_control = (point < ' ' && point != '\t') || (point >= 0x7f && point <= 0x9f);
		bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
		bool is_noncharacter = (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) == 0xfffe;
		if (point < first[length] || point > 0x10ffff || is_control || is_surrogate || is_noncharacter)
			return false;
	}
	return true;
}

static bool is_text(const char *data, size_t size) {
	unsigned char other = 0;
	for (size_t i = 0; i < size; i++)
		other |= (unsigned char)(data[i] - ' ') > '~' - ' ';
	return !other || is_printable((const unsigned char *)data, size);
}

/* Prints a field, which has the form NAME=VALUE. */
static void put_field(const char *data, size_t name, size_t size) {
	if (is_text(data, size)) {
		put(data, size);
	} else {
		uint64_t length = htole64(size - name - 1);
		put(data, name);
		put("\n", 1);
		put(&length, sizeof length);
		put(data + name + 1, size - name - 1);
	}
	put("\n", 1);
}

static bool is_selected(const char *data, size_t name, char **fields) {
	if (fields[0] == NULL)
		return true;
	for (; *fields != NULL; fields++)
		if (strncmp(*fields, data, name) == 0 && (*fields)[name] == '\0')
			return true;
	return false;
}

static int put_header(sd_journal *journal, uint64_t monotonic, sd_id128_t boot) {
	uint64_t realtime;
	char *cursor, text[512];
	int error;
	if ((error = sd_journal_get_realtime_usec(journal, &realtime)) < 0 ||
	    (error = sd_journal_get_cursor(journal, &cursor)) < 0)
		return error;
	int size = snprintf(text, sizeof text,
		"__CURSOR=%s\n__REALTIME_TIMESTAMP=%" PRIu64 "\n__MONOTONIC_TIMESTAMP=%" PRIu64
		"\n_BOOT_ID=" SD_ID128_FORMAT_STR "\n",
		cursor, realtime, monotonic, SD_ID128_FORMAT_VAL(boot));
	free(cursor);
	if (size < 0 || (size_t)size >= sizeof text)
		return -EBADMSG;
	put(text, (size_t)size);
	return 0;
}

/* Begins an entry, in a new block if its sequence number does not follow that of the entry before. */
static int begin_entry(sd_journal *journal) {
	uint64_t number;
	sd_id128_t id;
	int error = sd_journal_get_seqnum(journal, &number, &id);
	if (error < 0)
		return error;
	if (in_blocks && (number != sequence + 1 || !sd_id128_equal(id, sequence_id)))
		flush();
	sequence = number;
	sequence_id = id;
	is_divided = false;
	return 0;
}

static void end_entry(void) {
	put("\n", 1);
	if (is_divided) {
		write_block(used);
		return;
	}
	count++;
	last_offset = complete_size;
	complete_size = used;
}

/* Prints an entry of this boot. If the clock was set back, entries of an earlier boot may come later. */
static int put_entry(sd_journal *journal, sd_id128_t this_boot, char **fields) {
	static const char boot_field[] = "_BOOT_ID";
	const void *found;
	size_t size;
	uint64_t monotonic;
	sd_id128_t boot;
	int result = sd_journal_get_monotonic_usec(journal, &monotonic, &boot);
	if (result < 0 || !sd_id128_equal(boot, this_boot))
		return result;
	if ((result = begin_entry(journal)) < 0 || (result = put_header(journal, monotonic, boot)) < 0)
		return result;
	sd_journal_restart_data(journal);
	while ((result = sd_journal_enumerate_data(journal, &found, &size)) > 0) {
		const char *data = found, *equals = memchr(data, '=', size);
		if (equals == NULL)
			return -EBADMSG;
		size_t name = (size_t)(equals - data);
		bool is_boot_field = name == sizeof boot_field - 1 && memcmp(data, boot_field, name) == 0;
		if (!is_boot_field && is_selected(data, name, fields))
			put_field(data, name, size);
	}
	if (result == 0)
		end_entry();
	return result;
}

/* Journals may have more files than the soft limit allows to be open. */
static void raise_file_limit(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Seeks to the first entry of a boot, for which it waits if necessary. Only this search selects entries by their boot,
 * because sd-journal does not find the entries after a corrupt one by a field.
 */
static void seek_first(sd_journal *journal, sd_id128_t boot) {
	char match[64], *cursor;
	int result;
	snprintf(match, sizeof match, "_BOOT_ID=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(boot));
	if ((result = sd_journal_add_match(journal, match, 0)) < 0 || (result = sd_journal_seek_head(journal)) < 0)
		fail("seek to the first entry", result);
	while ((result = sd_journal_next(journal)) == 0)
		if ((result = sd_journal_wait(journal, UINT64_MAX)) < 0)
			break;
	if (result < 0 || (result = sd_journal_get_cursor(journal, &cursor)) < 0)
		fail("find the first entry", result);
	sd_journal_flush_matches(journal);
	if ((result = sd_journal_seek_cursor(journal, cursor)) < 0)
		fail("seek to cursor", result);
	free(cursor);
}

/* Prints the next entries until there is none. */
static void print_entries(sd_journal *journal, sd_id128_t boot, char **fields) {
	int result;
	while ((result = sd_journal_next(journal)) > 0) {
		if ((result = put_entry(journal, boot, fields)) < 0) {
			/* Omit the entry, unless its beginning is written. */
			if (is_divided)
				write_block(used);
			flush();
			fail("read an entry", result);
		}
	}
	flush();
	if (result < 0)
		fail("iterate through journal", result);
}

int main(int argument_count, char **arguments) {
	sd_journal *journal;
	sd_id128_t boot;
	int result;
	in_blocks = argument_count > 1 && strcmp(arguments[1], "--blocks") == 0;
	if (in_blocks)
		arguments++;
	if (arguments[1] == NULL) {
		fputs("usage: read-journal [--blocks] {CURSOR|boot} [FIELD…]\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	raise_file_limit();
	if ((result = sd_id128_get_boot(&boot)) < 0)
		fail("get the boot ID", result);
	if ((result = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY)) < 0)
		fail("open journal", result);
	/* Values of any size are printed completely. */
	if ((result = sd_journal_set_data_threshold(journal, 0)) < 0)
		fail("set the data threshold", result);
	if (strcmp(arguments[1], "boot") == 0)
		seek_first(journal, boot);
	else if ((result = sd_journal_seek_cursor(journal, arguments[1])) < 0)
		fail("seek to cursor", result);
	for (;;) {
		print_entries(journal, boot, arguments + 2);
		if ((result = sd_journal_wait(journal, UINT64_MAX)) < 0)
			fail("wait for the journal", result);
	}
}
