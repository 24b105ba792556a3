/*
 * System calls of immutafs-boot on block devices and for mounts of SCRATCH, for native.c, which includes this file after
 * directories.h. native.ts describes the functions.
 */
#define MIB (1 << 20)

/* --- block devices ---------------------------------------------------------------------------------------- */

/* openBlock(file, writable, exclusive). O_EXCL without O_CREAT: see bd_may_claim() in block/bdev.c of the kernel. */
static JSValue native_open_block(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	int flags = (JS_ToBool(context, values[1]) ? O_RDWR : O_RDONLY) | (JS_ToBool(context, values[2]) ? O_EXCL : 0), file, number = 0;
	struct stat found;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	file = open(name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0 || fstat(file, &found) < 0)
		number = errno;
	else if (!S_ISBLK(found.st_mode))
		number = ENOTBLK;
	free(name);
	if (!number)
		return JS_NewInt32(context, file);
	if (file >= 0)
		close(file);
	return fail(context, number);
}

/* block(file): "MAJOR:MINOR BYTES READ-ONLY" */
static JSValue native_block(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t file, read_only = 0;
	unsigned long long bytes = 0;
	struct stat found;
	char text[96];

	(void)this, (void)count;
	if (JS_ToInt32(context, &file, values[0]))
		return JS_EXCEPTION;
	if (fstat(file, &found) < 0 || ioctl(file, BLKGETSIZE64, &bytes) < 0 || ioctl(file, BLKROGET, &read_only) < 0)
		return fail(context, errno);
	snprintf(text, sizeof(text), "%u:%u %llu %d", major(found.st_rdev), minor(found.st_rdev), bytes, read_only != 0);
	return JS_NewString(context, text);
}

/* Takes the descriptor, and the numbers after it, from the arguments; false with an exception if that fails. */
static bool take_numbers(JSContext *context, JSValueConst *values, int32_t *file, int64_t *numbers, int count)
{
	if (JS_ToInt32(context, file, values[0]))
		return false;
	for (int index = 0; index < count; index++)
		if (JS_ToInt64(context, &numbers[index], values[index + 1]))
			return false;
	return true;
}

static char piece[MIB];

/* Fills the beginning of the piece from a file; returns 0 or errno. */
static int fill_piece(int file, int64_t position, int64_t size)
{
	for (int64_t done = 0; done < size;) {
		ssize_t got = pread(file, piece + done, size - done, position + done);

		if (got == 0)
			return EIO;
		if (got > 0)
			done += got;
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

/* readBlock(file, from, size) */
static JSValue native_read_block(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int64_t numbers[2];
	int32_t file;
	int number;

	(void)this, (void)count;
	if (!take_numbers(context, values, &file, numbers, 2))
		return JS_EXCEPTION;
	if (numbers[1] < 0 || numbers[1] > MIB)
		return fail(context, EINVAL);
	number = fill_piece(file, numbers[0], numbers[1]);
	return number ? fail(context, number) : to_text(context, piece, numbers[1]);
}

/* contentIn(file, from, to): the position of the first byte that is not 0; -1 if there is none. */
static JSValue native_content_in(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int64_t numbers[2], position, end;
	int32_t file;

	(void)this, (void)count;
	if (!take_numbers(context, values, &file, numbers, 2))
		return JS_EXCEPTION;
	for (position = numbers[0], end = numbers[1]; position < end;) {
		int64_t size = end - position < MIB ? end - position : MIB;
		int number = fill_piece(file, position, size);

		if (number)
			return fail(context, number);
		for (int64_t index = 0; index < size; index++)
			if (piece[index])
				return JS_NewInt64(context, position + index);
		position += size;
	}
	return JS_NewInt32(context, -1);
}

/* writeBlock(file, from, text, size): writes a text and zeros after it, `size` bytes in all, to the device. */
static JSValue native_write_block(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	size_t length;
	char *bytes = to_bytes(context, values[2], &length);
	int64_t from, size, done = 0;
	int32_t file;
	int number = 0;

	(void)this, (void)count;
	if (!bytes)
		return JS_EXCEPTION;
	if (JS_ToInt32(context, &file, values[0]) || JS_ToInt64(context, &from, values[1]) || JS_ToInt64(context, &size, values[3])) {
		free(bytes);
		return JS_EXCEPTION;
	}
	if (size < 0 || size > MIB || length > (size_t)size)
		number = EINVAL;
	else {
		memset(piece, 0, size);
		memcpy(piece, bytes, length);
	}
	free(bytes);
	while (!number && done < size) {
		ssize_t put = pwrite(file, piece + done, size - done, from + done);

		if (put > 0)
			done += put;
		else if (put == 0 || errno != EINTR)
			number = put == 0 ? EIO : errno;
	}
	if (!number && fsync(file) < 0)
		number = errno;
	return number ? fail(context, number) : JS_UNDEFINED;
}

/* discardBlock(file, from, size) */
static JSValue native_discard_block(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int64_t numbers[2];
	uint64_t range[2];
	int32_t file;

	(void)this, (void)count;
	if (!take_numbers(context, values, &file, numbers, 2))
		return JS_EXCEPTION;
	range[0] = numbers[0];
	range[1] = numbers[1];
	return ioctl(file, BLKDISCARD, range) < 0 ? fail(context, errno) : JS_UNDEFINED;
}

/* pass(file): the programs that are started from now on inherit the descriptor. */
static JSValue native_pass(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t file;

	(void)this, (void)count;
	if (JS_ToInt32(context, &file, values[0]))
		return JS_EXCEPTION;
	return fcntl(file, F_SETFD, 0) < 0 ? fail(context, errno) : JS_UNDEFINED;
}

/* --- mappings --------------------------------------------------------------------------------------------- */

/* random(count): waits until the kernel's random number generator is initialised (getrandom(2)). */
static JSValue native_random(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char bytes[256];
	int32_t size;
	JSValue text;

	(void)this, (void)count;
	if (JS_ToInt32(context, &size, values[0]))
		return JS_EXCEPTION;
	/* The kernel returns up to 256 bytes at once. */
	if (size < 0 || size > (int32_t)sizeof(bytes))
		return fail(context, EINVAL);
	for (;;) {
		long got = call(__NR_getrandom, (long)bytes, size, 0);

		if (got == size)
			break;
		if (got != -EINTR)
			return fail(context, got < 0 ? -got : EIO);
	}
	text = to_text(context, bytes, size);
	explicit_bzero(bytes, sizeof(bytes));
	return text;
}

/*
 * Marks an event as one that udev processes, as libdevmapper does with all of its own, but without a semaphore that would wait
 * for udev: DM_UDEV_PRIMARY_SOURCE_FLAG << DM_UDEV_FLAGS_SHIFT (libdevmapper.h).
 */
#define FOR_UDEV (0x40 << 16)

/* Sends a request about the device with a name or a UUID, and with `size` bytes after the header; returns 0 or errno. */
static int request_for(int control, unsigned long command, const char *name, const char *uuid, size_t size)
{
	memset(&request.header, 0, sizeof(request.header));
	request.header.version[0] = DM_VERSION_MAJOR;
	request.header.data_size = sizeof(request.header) + size;
	request.header.data_start = sizeof(request.header);
	request.header.target_count = size ? 1 : 0;
	request.header.flags = DM_SECURE_DATA_FLAG;
	request.header.event_nr = FOR_UDEV;
	snprintf(request.header.name, sizeof(request.header.name), "%s", name);
	snprintf(request.header.uuid, sizeof(request.header.uuid), "%s", uuid);
	return ioctl(control, command, &request) < 0 ? errno : 0;
}

/* Creates a device, loads its table and activates it; returns 0 or errno. A device without a table does not remain. */
static int create_mapping(int control, char **words, uint64_t sectors)
{
	struct dm_target_spec *target = (struct dm_target_spec *)(request.bytes + sizeof(request.header));
	size_t size = (sizeof(*target) + strlen(words[3]) + 8) & ~7UL;
	int number;

	if (strlen(words[0]) >= DM_NAME_LEN || strlen(words[1]) >= DM_UUID_LEN || strlen(words[2]) >= DM_MAX_TYPE_NAME || size > 16384)
		return ENAMETOOLONG;
	number = request_for(control, DM_DEV_CREATE, words[0], words[1], 0);
	if (number)
		return number;
	memset(target, 0, size);
	target->length = sectors;
	target->next = size;
	strcpy(target->target_type, words[2]);
	strcpy((char *)(target + 1), words[3]);
	number = request_for(control, DM_TABLE_LOAD, words[0], "", size);
	explicit_bzero(target, size);
	if (!number)
		number = request_for(control, DM_DEV_SUSPEND, words[0], "", 0);
	if (number)
		request_for(control, DM_DEV_REMOVE, words[0], "", 0);
	return number;
}

/* Returns the number of the device of the last request. As in native_mapped. */
static JSValue device_of_request(JSContext *context)
{
	unsigned long long device = request.header.dev;
	char text[32];

	snprintf(text, sizeof(text), "%u:%u", (unsigned)(device >> 8 & 0xfff), (unsigned)((device & 0xff) | (device >> 12 & 0xfff00)));
	return JS_NewString(context, text);
}

/* createMapping(name, uuid, target, parameters, sectors) */
static JSValue native_create_mapping(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *words[4] = { NULL };
	int control = -1, number = 0;
	int64_t sectors;

	(void)this, (void)count;
	if (JS_ToInt64(context, &sectors, values[4]))
		return JS_EXCEPTION;
	for (int index = 0; index < 4; index++) {
		words[index] = to_bytes(context, values[index], NULL);
		if (!words[index])
			return JS_EXCEPTION;
	}
	control = open_control(context);
	if (control >= 0) {
		number = create_mapping(control, words, sectors);
		close(control);
	}
	explicit_bzero(words[3], strlen(words[3]));
	for (int index = 0; index < 4; index++)
		free(words[index]);
	return control < 0 ? JS_EXCEPTION : number ? fail(context, number) : device_of_request(context);
}

/* mapping(uuid): the number of the mapping; undefined if there is none. removeMapping(uuid): does nothing if there is none. */
static JSValue request_by_uuid(JSContext *context, JSValueConst value, unsigned long command)
{
	char *uuid = to_bytes(context, value, NULL);
	int control = uuid ? open_control(context) : -1, number;

	if (control < 0) {
		free(uuid);
		return JS_EXCEPTION;
	}
	number = strlen(uuid) < DM_UUID_LEN ? request_for(control, command, "", uuid, 0) : ENAMETOOLONG;
	close(control);
	free(uuid);
	if (number == ENXIO)
		return JS_UNDEFINED;
	return number ? fail(context, number) : device_of_request(context);
}

static JSValue native_mapping(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	(void)this, (void)count;
	return request_by_uuid(context, values[0], DM_DEV_STATUS);
}

static JSValue native_remove_mapping(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	(void)this, (void)count;
	return request_by_uuid(context, values[0], DM_DEV_REMOVE);
}

/* --- processes -------------------------------------------------------------------------------------------- */

/*
 * apart(seconds, action): runs an action in a process of its own, which shares the descriptors, so that it can be ended. Returns
 * the same as supervise; the output is the text that the action returns. An exception ends the process with FAILED.
 */
static JSValue native_apart(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t seconds;
	int ends[2];
	pid_t child;

	(void)this, (void)count;
	if (JS_ToInt32(context, &seconds, values[0]))
		return JS_EXCEPTION;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(context, errno);
	child = fork();
	if (child == 0) {
		JSValue text;

		setpgid(0, 0);
		fcntl(ends[1], F_SETFL, 0);
		text = JS_Call(context, values[1], JS_UNDEFINED, 0, NULL);
		if (JS_IsException(text) || write_all(context, ends[1], text) || JS_HasException(context)) {
			print_error(context);
			_exit(FAILED);
		}
		_exit(0);
	}
	close(ends[1]);
	if (child < 0) {
		int number = errno;

		close(ends[0]);
		return fail(context, number);
	}
	return outcome_of(context, child, ends[0], seconds);
}

#define SCRATCH_FUNCTIONS \
	JS_CFUNC_DEF("openBlock", 3, native_open_block), \
	JS_CFUNC_DEF("block", 1, native_block), \
	JS_CFUNC_DEF("readBlock", 3, native_read_block), \
	JS_CFUNC_DEF("contentIn", 3, native_content_in), \
	JS_CFUNC_DEF("writeBlock", 4, native_write_block), \
	JS_CFUNC_DEF("discardBlock", 3, native_discard_block), \
	JS_CFUNC_DEF("pass", 1, native_pass), \
	JS_CFUNC_DEF("random", 1, native_random), \
	JS_CFUNC_DEF("createMapping", 5, native_create_mapping), \
	JS_CFUNC_DEF("mapping", 1, native_mapping), \
	JS_CFUNC_DEF("removeMapping", 1, native_remove_mapping), \
	JS_CFUNC_DEF("apart", 2, native_apart)
