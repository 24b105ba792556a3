/*
 * System calls of immutafs-boot on files in open directories, and SHA-256, for native.c, which includes this file after
 * directories.h. native.ts describes the functions.
 */
/* --- SHA-256 (FIPS 180-4) --------------------------------------------------------------------------------- */

struct digest {
	uint32_t state[8];
	unsigned char block[64];
	uint64_t bytes;
};

static const uint32_t first_state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
	0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t word, int bits)
{
	return word >> bits | word << (32 - bits);
}

static void digest_block(struct digest *digest)
{
	uint32_t words[64], a[8];

	for (int index = 0; index < 16; index++)
		words[index] = (uint32_t)digest->block[4 * index] << 24 | digest->block[4 * index + 1] << 16 |
			       digest->block[4 * index + 2] << 8 | digest->block[4 * index + 3];
	for (int index = 16; index < 64; index++) {
		uint32_t early = words[index - 15], late = words[index - 2];

		words[index] = words[index - 16] + (rotate(early, 7) ^ rotate(early, 18) ^ early >> 3) + words[index - 7] +
			       (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10);
	}
	memcpy(a, digest->state, sizeof(a));
	for (int index = 0; index < 64; index++) {
		uint32_t one = a[7] + (rotate(a[4], 6) ^ rotate(a[4], 11) ^ rotate(a[4], 25)) + ((a[4] & a[5]) ^ (~a[4] & a[6])) +
			       round_constants[index] + words[index];
		uint32_t two = (rotate(a[0], 2) ^ rotate(a[0], 13) ^ rotate(a[0], 22)) + ((a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]));

		memmove(a + 1, a, 7 * sizeof(*a));
		a[4] += one;
		a[0] = one + two;
	}
	for (int index = 0; index < 8; index++)
		digest->state[index] += a[index];
}

static void digest_bytes(struct digest *digest, const char *bytes, size_t size)
{
	for (size_t index = 0; index < size; index++) {
		digest->block[digest->bytes++ % 64] = bytes[index];
		if (digest->bytes % 64 == 0)
			digest_block(digest);
	}
}

static JSValue end_digest(JSContext *context, struct digest *digest)
{
	uint64_t bits = digest->bytes * 8;
	char length[8], text[65];

	for (int index = 0; index < 8; index++)
		length[index] = bits >> (56 - 8 * index);
	digest_bytes(digest, "\x80", 1);
	while (digest->bytes % 64 != 56)
		digest_bytes(digest, "", 1);
	digest_bytes(digest, length, sizeof(length));
	for (int index = 0; index < 8; index++)
		snprintf(text + 8 * index, 9, "%08x", digest->state[index]);
	return JS_NewString(context, text);
}

static struct digest begin_digest(void)
{
	struct digest digest = { .bytes = 0 };

	memcpy(digest.state, first_state, sizeof(first_state));
	return digest;
}

/* sha256(text) */
static JSValue native_sha256(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	struct digest digest = begin_digest();
	size_t size;
	char *bytes = to_bytes(context, values[0], &size);

	(void)this, (void)count;
	if (!bytes)
		return JS_EXCEPTION;
	digest_bytes(&digest, bytes, size);
	free(bytes);
	return end_digest(context, &digest);
}

/* --- files ------------------------------------------------------------------------------------------------ */

/* Opens a regular file of at most `most` bytes; returns its descriptor, or -errno: EFBIG for a larger one, ENOEXEC for another kind. */
static int open_regular(int directory, const char *name, int64_t most)
{
	struct stat found;
	int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), number = 0;

	if (file < 0) {
		number = errno;
		/* For the message only: a symbolic link, a socket, or a device on a file system with nodev cannot be opened. */
		if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(found.st_mode))
			number = ENOEXEC;
		return -number;
	}
	if (fstat(file, &found) < 0)
		number = errno;
	else if (!S_ISREG(found.st_mode))
		number = ENOEXEC;
	else if (found.st_size > most)
		number = EFBIG;
	if (!number)
		return file;
	close(file);
	return -number;
}

/* Copies a file up to its end, which is after at most `most` bytes; returns 0 or errno. */
static int copy_bytes(int from, int to, int64_t most, struct digest *digest)
{
	static char bytes[65536];
	int64_t done = 0;

	for (;;) {
		ssize_t got = read(from, bytes, sizeof(bytes));

		if (got == 0)
			return 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		done += got;
		if (done > most)
			return EFBIG;
		digest_bytes(digest, bytes, got);
		for (ssize_t written = 0; written < got;) {
			ssize_t put = write(to, bytes + written, got - written);

			if (put < 0 && errno != EINTR)
				return errno;
			if (put > 0)
				written += put;
		}
	}
}

static int copy_regular(int from, const char *name, int to, const char *new_name, int mode, int64_t most, struct digest *digest)
{
	int source = open_regular(from, name, most), target, number;

	if (source < 0)
		return -source;
	if (unlinkat(to, new_name, 0) < 0 && errno != ENOENT) {
		number = errno;
		close(source);
		return number;
	}
	target = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	number = target < 0 ? errno : copy_bytes(source, target, most, digest);
	close(source);
	if (target < 0)
		return number;
	/* Not by openat(2), to which the umask applies. */
	if (!number && fchmod(target, mode) < 0)
		number = errno;
	if (close(target) < 0 && !number)
		number = errno;
	return number;
}

/* copyFile(from, name, to, newName, mode, most) */
static JSValue native_copy_file(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	struct digest digest = begin_digest();
	int32_t from, to, mode, most;
	char *name = take(context, &from, values[0], values[1]);
	char *new_name = name ? take(context, &to, values[2], values[3]) : NULL;
	int number;

	(void)this, (void)count;
	if (!new_name || JS_ToInt32(context, &mode, values[4]) || JS_ToInt32(context, &most, values[5])) {
		free(name);
		free(new_name);
		return JS_EXCEPTION;
	}
	number = copy_regular(from, name, to, new_name, mode, most, &digest);
	free(name);
	free(new_name);
	return number ? fail(context, number) : end_digest(context, &digest);
}

/* readAt(directory, name, most): the text of a regular file. */
static JSValue native_read_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory, most;
	char *name = take(context, &directory, values[0], values[1]);
	int file;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (JS_ToInt32(context, &most, values[2])) {
		free(name);
		return JS_EXCEPTION;
	}
	file = open_regular(directory, name, most);
	free(name);
	return file < 0 ? fail(context, -file) : read_rest(context, file, -1, most);
}

/* listAt(directory) */
static JSValue native_list_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	int file;
	DIR *opened;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]))
		return JS_EXCEPTION;
	/* The descriptor was opened with O_PATH. */
	file = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	opened = file < 0 ? NULL : fdopendir(file);
	if (opened)
		return names_of(context, opened);
	if (file >= 0)
		close(file);
	return fail(context, errno);
}

/* removeAt(directory, name) */
static JSValue native_remove_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	char *name = take(context, &directory, values[0], values[1]);
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		number = errno;
	free(name);
	return number ? fail(context, number) : JS_UNDEFINED;
}

/* overwrite(file, text): in place, without making it shorter. */
static JSValue native_overwrite(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	int file, number;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	file = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	number = file < 0 ? errno : write_all(context, file, values[1]);
	if (!number && fsync(file) < 0)
		number = errno;
	free(name);
	if (file >= 0)
		close(file);
	if (number)
		return fail(context, number);
	return JS_HasException(context) ? JS_EXCEPTION : JS_UNDEFINED;
}

/* unshareMounts(): the mounts of this process are no longer those of others. */
static JSValue native_unshare_mounts(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	long result = call(__NR_unshare, 0x20000, 0, 0); /* CLONE_NEWNS (linux/sched.h) */

	(void)this, (void)count, (void)values;
	if (result == 0)
		result = mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
	return result_of(context, result);
}

/* ignoreSignals() */
static JSValue native_ignore_signals(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE };

	(void)context, (void)this, (void)count, (void)values;
	for (size_t index = 0; index < sizeof(signals) / sizeof(signals[0]); index++)
		signal(signals[index], SIG_IGN);
	return JS_UNDEFINED;
}

#define SEED_FUNCTIONS \
	JS_CFUNC_DEF("sha256", 1, native_sha256), \
	JS_CFUNC_DEF("copyFile", 6, native_copy_file), \
	JS_CFUNC_DEF("readAt", 3, native_read_at), \
	JS_CFUNC_DEF("listAt", 1, native_list_at), \
	JS_CFUNC_DEF("removeAt", 2, native_remove_at), \
	JS_CFUNC_DEF("overwrite", 2, native_overwrite), \
	JS_CFUNC_DEF("unshareMounts", 0, native_unshare_mounts), \
	JS_CFUNC_DEF("ignoreSignals", 0, native_ignore_signals)
