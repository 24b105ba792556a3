/*
 * The native half of immutafs-boot: the system calls that its TypeScript needs, and main(), which runs the bytecode of the
 * bundle (packaging/build/boot-program.ts) in QuickJS. boot/native/native.ts describes the functions.
 *
 * Every text is a sequence of bytes, one character per byte (Latin-1), so that no name and no content is lost.
 *
 * Exit codes: those of boot/commands.ts. An exception that nothing catches, memory or stack that does not suffice, and a
 * bundle that returns without an exit code end with 3 (FAILED). After the time limit, SIGALRM ends the program.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quickjs.h>

#include "immutafs-boot.h"

#define FAILED 3
#define MEMORY_LIMIT (64 << 20)
#define STACK_LIMIT (1 << 20)
/* In bytes. Cycles are not searched for below, because most commands end before there would be many. */
#define CYCLE_SEARCH (16 << 20)
/* Until the command sets its own limit (boot/commands.ts). */
#define FIRST_SECONDS 30

/* --- texts ------------------------------------------------------------------------------------------------ */

/* Throws an Error whose property code is the name of errno. */
static JSValue fail(JSContext *context, int number)
{
	const char *name = strerrorname_np(number);
	JSValue error = JS_NewError(context);

	JS_DefinePropertyValueStr(context, error, "message", JS_NewString(context, strerror(number)),
				  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
	JS_DefinePropertyValueStr(context, error, "code", JS_NewString(context, name ? name : ""), JS_PROP_C_W_E);
	return JS_Throw(context, error);
}

/* Returns the text of bytes: QuickJS takes UTF-8, in which a byte of 128 and more has two bytes. */
static JSValue to_text(JSContext *context, const char *bytes, size_t length)
{
	size_t filled = 0, index = 0;
	char *utf8;
	JSValue text;

	while (index < length && (unsigned char)bytes[index] < 128)
		index++;
	if (index == length)
		return JS_NewStringLen(context, bytes, length);
	utf8 = malloc(2 * length);
	if (!utf8)
		return fail(context, ENOMEM);
	for (index = 0; index < length; index++) {
		unsigned char byte = bytes[index];

		if (byte >= 128)
			utf8[filled++] = 0xc0 | byte >> 6;
		utf8[filled++] = byte < 128 ? byte : (0x80 | (byte & 0x3f));
	}
	text = JS_NewStringLen(context, utf8, filled);
	free(utf8);
	return text;
}

/*
 * Returns the bytes of a text, terminated by a NUL, which free() releases; NULL with an exception if a character is not
 * one of Latin-1, or for a NUL, at which the kernel would end the name.
 */
static char *to_bytes(JSContext *context, JSValueConst value, size_t *size)
{
	size_t length, filled = 0;
	const char *utf8 = JS_ToCStringLen(context, &length, value);
	char *bytes = utf8 ? malloc(length + 1) : NULL;

	if (!bytes) {
		if (utf8)
			fail(context, ENOMEM);
		JS_FreeCString(context, utf8);
		return NULL;
	}
	for (size_t index = 0; index < length; index++) {
		unsigned char byte = utf8[index];

		if (byte >= 128)
			byte = (byte & 0xfe) == 0xc2 ? (byte << 6 | (utf8[++index] & 0x3f)) : 0;
		if (byte == 0) {
			free(bytes);
			JS_FreeCString(context, utf8);
			fail(context, EINVAL);
			return NULL;
		}
		bytes[filled++] = byte;
	}
	bytes[filled] = '\0';
	if (size)
		*size = filled;
	JS_FreeCString(context, utf8);
	return bytes;
}

/* --- files ------------------------------------------------------------------------------------------------ */

/* Opens the file that a text names; -1 with an exception if that fails. */
static int open_file(JSContext *context, JSValueConst file)
{
	char *name = to_bytes(context, file, NULL);
	int fd;

	if (!name)
		return -1;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fail(context, errno);
	free(name);
	return fd;
}

/* Reads from a file until its end, at most `limit` bytes, and closes it. At an offset, if that is not negative. */
static JSValue read_rest(JSContext *context, int fd, int64_t offset, int64_t limit)
{
	char *bytes = malloc(limit + 1);
	int64_t filled = 0;
	int number = bytes ? 0 : ENOMEM;
	JSValue text;

	while (!number && filled < limit) {
		ssize_t count = offset < 0 ? read(fd, bytes + filled, limit - filled)
					   : pread(fd, bytes + filled, limit - filled, offset + filled);

		if (count == 0)
			break;
		if (count > 0)
			filled += count;
		else if (errno != EINTR)
			number = errno;
	}
	close(fd);
	text = number ? fail(context, number) : to_text(context, bytes, filled);
	free(bytes);
	return text;
}

static JSValue native_read(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int64_t offset = -1, limit;
	int fd;

	(void)this, (void)count;
	if (JS_ToInt64(context, &limit, values[1]))
		return JS_EXCEPTION;
	if (!JS_IsUndefined(values[2]) && JS_ToInt64(context, &offset, values[2]))
		return JS_EXCEPTION;
	if (limit < 0 || limit > MEMORY_LIMIT / 4)
		return fail(context, EINVAL);
	fd = open_file(context, values[0]);
	return fd < 0 ? JS_EXCEPTION : read_rest(context, fd, offset, limit);
}

/* Returns the names in an open directory, and closes it. */
static JSValue names_of(JSContext *context, DIR *directory)
{
	JSValue names = JS_NewArray(context);
	struct dirent *entry;
	uint32_t length = 0;

	while (errno = 0, (entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		JS_SetPropertyUint32(context, names, length++, to_text(context, entry->d_name, strlen(entry->d_name)));
	}
	if (errno) {
		JS_FreeValue(context, names);
		names = fail(context, errno);
	}
	closedir(directory);
	return names;
}

static JSValue native_list(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	DIR *directory = name ? opendir(name) : NULL;

	(void)this, (void)count;
	if (!directory) {
		if (name)
			fail(context, errno);
		free(name);
		return JS_EXCEPTION;
	}
	free(name);
	return names_of(context, directory);
}

static JSValue native_resolve(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	char resolved[PATH_MAX];
	JSValue text;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	text = realpath(name, resolved) ? to_text(context, resolved, strlen(resolved)) : fail(context, errno);
	free(name);
	return text;
}

/* Returns st_mode of lstat(2); undefined if there is no such file. */
static JSValue native_mode(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	struct stat stat;
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (lstat(name, &stat) < 0)
		number = errno;
	free(name);
	if (number == ENOENT || number == ENOTDIR)
		return JS_UNDEFINED;
	return number ? fail(context, number) : JS_NewInt32(context, stat.st_mode);
}

/* Returns the mode and the size of the file to which a path leads (stat(2)); undefined if there is no such file. */
static JSValue native_status(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	struct stat found;
	int number = 0;
	JSValue status;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (stat(name, &found) < 0)
		number = errno;
	free(name);
	if (number == ENOENT || number == ENOTDIR)
		return JS_UNDEFINED;
	if (number)
		return fail(context, number);
	status = JS_NewObject(context);
	JS_SetPropertyStr(context, status, "mode", JS_NewInt32(context, found.st_mode));
	JS_SetPropertyStr(context, status, "size", JS_NewInt64(context, found.st_size));
	return status;
}

static JSValue native_make_directory(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (mkdir(name, 0777) < 0 && errno != EEXIST)
		number = errno;
	free(name);
	return number ? fail(context, number) : JS_UNDEFINED;
}

/* link(target, file): as `ln -sf` does. */
static JSValue native_link(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *target = to_bytes(context, values[0], NULL);
	char *name = target ? to_bytes(context, values[1], NULL) : NULL;
	int number = 0;

	(void)this, (void)count;
	if (name && ((unlink(name) < 0 && errno != ENOENT) || symlink(target, name) < 0))
		number = errno;
	free(target);
	if (!name)
		return JS_EXCEPTION;
	free(name);
	return number ? fail(context, number) : JS_UNDEFINED;
}

/* Writes a text to a file descriptor; returns 0 or errno. An exception may be pending. */
static int write_all(JSContext *context, int fd, JSValueConst value)
{
	size_t length, written = 0;
	char *bytes = to_bytes(context, value, &length);
	int number = 0;

	while (bytes && written < length && !number) {
		ssize_t count = write(fd, bytes + written, length - written);

		if (count >= 0)
			written += count;
		else if (errno != EINTR)
			number = errno;
	}
	free(bytes);
	return number;
}

/*
 * write(file, text): creates the file, except below /proc, /sys and /dev, where the kernel makes the files. For O_CREAT, SELinux
 * checks whether a file may be created before the kernel has looked whether it exists (lookup_open() in fs/namei.c).
 */
static JSValue native_write(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	static const char *const of_kernel[] = { "/proc/", "/sys/", "/dev/" };
	char *name = to_bytes(context, values[0], NULL);
	int fd, number, create = O_CREAT;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	for (size_t i = 0; i < sizeof of_kernel / sizeof *of_kernel; i++)
		if (!strncmp(name, of_kernel[i], strlen(of_kernel[i])))
			create = 0;
	fd = open(name, O_WRONLY | create | O_TRUNC | O_CLOEXEC, 0666);
	number = fd < 0 ? errno : 0;
	free(name);
	if (fd >= 0) {
		number = write_all(context, fd, values[1]);
		if (close(fd) < 0 && !number)
			number = errno;
	}
	if (number)
		return fail(context, number);
	return JS_HasException(context) ? JS_EXCEPTION : JS_UNDEFINED;
}

/* print(fd, text) */
static JSValue native_print(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int fd;

	(void)this, (void)count;
	if (JS_ToInt32(context, &fd, values[0]))
		return JS_EXCEPTION;
	/* A message that nobody receives does not end what it is about. */
	if (write_all(context, fd, values[1]) && fd != 2)
		_exit(FAILED);
	return JS_HasException(context) ? JS_EXCEPTION : JS_UNDEFINED;
}

/* --- block devices ---------------------------------------------------------------------------------------- */

/* Sets a block device read-only, as `blockdev --setro` does (BLKROSET, linux/fs.h). */
static JSValue native_set_read_only(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	static const int on = 1;
	int fd = open_file(context, values[0]), number = 0;

	(void)this, (void)count;
	if (fd < 0)
		return JS_EXCEPTION;
	if (ioctl(fd, BLKROSET, &on) < 0)
		number = errno;
	close(fd);
	return number ? fail(context, number) : JS_UNDEFINED;
}

static union {
	struct dm_ioctl header;
	char bytes[1 << 20];
} request;

/* Returns the open control device, or -1 with an exception. */
static int open_control(JSContext *context)
{
	int control = open("/dev/mapper/control", O_RDONLY | O_CLOEXEC | O_NONBLOCK), number = ENODEV;
	struct stat stat;

	if (control < 0)
		number = errno;
	/* Misc device 236, MAPPER_CTRL_MINOR (linux/miscdevice.h). */
	else if (fstat(control, &stat) == 0 && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(10, 236))
		return control;
	if (control >= 0)
		close(control);
	fail(context, number);
	return -1;
}

/*
 * Sends a request to device-mapper; returns 0 or errno. The table of a crypt target contains the key, so the kernel is
 * told to wipe its buffer.
 */
static int ask(unsigned long command, unsigned long long device, int control)
{
	for (unsigned size = 16384;; size = sizeof(request)) {
		memset(&request.header, 0, sizeof(request.header));
		request.header.version[0] = DM_VERSION_MAJOR;
		request.header.data_size = size;
		request.header.data_start = sizeof(request.header);
		request.header.flags = DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG | DM_SECURE_DATA_FLAG;
		request.header.dev = device;
		if (ioctl(control, command, &request) < 0)
			return errno;
		if (!(request.header.flags & DM_BUFFER_FULL_FLAG))
			return 0;
		if (size == sizeof(request))
			return E2BIG;
	}
}

/* Returns the numbers of all device-mapper devices, each as "major:minor". dev_t as in huge_encode_dev() (linux/kdev_t.h). */
static JSValue native_mapped(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int control = open_control(context), number;
	const char *data = request.bytes + sizeof(request.header);
	uint32_t length = 0;
	JSValue devices;

	(void)this, (void)count, (void)values;
	if (control < 0)
		return JS_EXCEPTION;
	number = ask(DM_LIST_DEVICES, 0, control);
	close(control);
	if (number)
		return fail(context, number);
	devices = JS_NewArray(context);
	for (;;) {
		const struct dm_name_list *found = (const struct dm_name_list *)data;
		char name[32];

		/* Without any device, the kernel returns one entry with the number 0. */
		if (found->dev == 0)
			break;
		snprintf(name, sizeof(name), "%u:%u", (unsigned)(found->dev >> 8 & 0xfff),
			 (unsigned)((found->dev & 0xff) | (found->dev >> 12 & 0xfff00)));
		JS_SetPropertyUint32(context, devices, length++, JS_NewString(context, name));
		if (found->next == 0)
			break;
		data += found->next;
	}
	return devices;
}

/*
 * table(major, minor): returns the targets of a device-mapper device, each as "TYPE WORD" with the first word of its
 * parameters. No further word leaves this function, because the table of crypt contains the key.
 */
static JSValue native_table(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	const char *data = request.bytes + sizeof(request.header);
	uint32_t major, minor;
	int control, number;
	JSValue targets;

	(void)this, (void)count;
	if (JS_ToUint32(context, &major, values[0]) || JS_ToUint32(context, &minor, values[1]))
		return JS_EXCEPTION;
	control = open_control(context);
	if (control < 0)
		return JS_EXCEPTION;
	number = ask(DM_TABLE_STATUS, (minor & 0xff) | major << 8 | (unsigned long long)(minor & 0xfff00) << 12, control);
	close(control);
	if (number)
		return fail(context, number);
	targets = JS_NewArray(context);
	for (unsigned index = 0, offset = 0; index < request.header.target_count; index++) {
		const struct dm_target_spec *target = (const struct dm_target_spec *)(data + offset);
		const char *parameters = (const char *)(target + 1);
		char text[DM_MAX_TYPE_NAME + 66];
		int length = snprintf(text, sizeof(text), "%.*s %.*s", DM_MAX_TYPE_NAME, target->target_type,
				      (int)strcspn(parameters, " "), parameters);

		/* A word that is cut off is none of those that count. */
		if (length >= (int)sizeof(text))
			length = sizeof(text) - 1;
		JS_SetPropertyUint32(context, targets, index, to_text(context, text, length));
		offset = target->next;
	}
	memset(&request, 0, sizeof(request));
	return targets;
}

/* --- programs --------------------------------------------------------------------------------------------- */

/*
 * Runs a program. Returns its standard output, at most 64 KiB; undefined if it cannot be started. It gets no other
 * environment than PATH. Sets *status to that of waitpid(2), or to -1.
 */
static JSValue run_program(JSContext *context, int count, JSValueConst *values, int *status)
{
	static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	static char output[65536];
	char *words[16] = { NULL };
	int ends[2];
	size_t filled = 0;
	pid_t child;

	*status = -1;
	if (count > 15 || pipe2(ends, O_CLOEXEC) < 0)
		return fail(context, count > 15 ? E2BIG : errno);
	for (int index = 0; index < count; index++) {
		words[index] = to_bytes(context, values[index], NULL);
		if (!words[index])
			return JS_EXCEPTION;
	}
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		if (null < 0 || dup2(null, 0) < 0 || dup2(ends[1], 1) < 0 || dup2(null, 2) < 0)
			_exit(127);
		execve(words[0], words, environment);
		_exit(127);
	}
	close(ends[1]);
	while (child > 0) {
		ssize_t got = filled < sizeof(output) ? read(ends[0], output + filled, sizeof(output) - filled) : 0;

		if (got > 0)
			filled += got;
		else if (got == 0 || errno != EINTR)
			break;
	}
	close(ends[0]);
	while (child > 0 && waitpid(child, status, 0) < 0 && errno == EINTR)
		;
	for (int index = 0; index < count; index++)
		free(words[index]);
	return child < 0 ? JS_UNDEFINED : to_text(context, output, filled);
}

/* run(program, ...arguments): the output; undefined if the program does not exit with 0. */
static JSValue native_run(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int status;
	JSValue output = run_program(context, count, values, &status);

	(void)this;
	if (status == 0 || JS_IsException(output))
		return output;
	JS_FreeValue(context, output);
	return JS_UNDEFINED;
}

#include "directories.h"
#include "mounts.h"
#include "seed.h"

static void print_error(JSContext *context)
{
	JSValue error = JS_GetException(context);
	const char *text = JS_ToCString(context, error);

	dprintf(2, "immutafs-boot: %s\n", text ? text : "out of memory");
}

#include "scratch.h"

/* --- the program ------------------------------------------------------------------------------------------ */

/* limit(seconds): the program ends by SIGALRM after this time. */
static JSValue native_limit(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	uint32_t seconds;

	(void)this, (void)count;
	if (JS_ToUint32(context, &seconds, values[0]))
		return JS_EXCEPTION;
	alarm(seconds);
	return JS_UNDEFINED;
}

/* exit(code): ends the program at once, because there is nothing that must be released. */
static JSValue native_exit(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int code;

	(void)this, (void)count;
	_exit(JS_ToInt32(context, &code, values[0]) ? FAILED : code);
}

static const JSCFunctionListEntry functions[] = {
	JS_CFUNC_DEF("read", 3, native_read),
	JS_CFUNC_DEF("list", 1, native_list),
	JS_CFUNC_DEF("resolve", 1, native_resolve),
	JS_CFUNC_DEF("mode", 1, native_mode),
	JS_CFUNC_DEF("status", 1, native_status),
	JS_CFUNC_DEF("makeDirectory", 1, native_make_directory),
	JS_CFUNC_DEF("write", 2, native_write),
	JS_CFUNC_DEF("link", 2, native_link),
	JS_CFUNC_DEF("print", 2, native_print),
	JS_CFUNC_DEF("setReadOnly", 1, native_set_read_only),
	JS_CFUNC_DEF("mapped", 0, native_mapped),
	JS_CFUNC_DEF("table", 2, native_table),
	JS_CFUNC_DEF("run", 1, native_run),
	DIRECTORY_FUNCTIONS,
	MOUNT_FUNCTIONS,
	SCRATCH_FUNCTIONS,
	SEED_FUNCTIONS,
	JS_CFUNC_DEF("limit", 1, native_limit),
	JS_CFUNC_DEF("exit", 1, native_exit),
};

int main(int count, char **words)
{
	JSRuntime *runtime;
	JSContext *context;
	JSValue global, native, arguments;
	sigset_t alarms;

	/* The parent may have blocked or ignored the signal. */
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarms, NULL);
	alarm(FIRST_SECONDS);
	runtime = JS_NewRuntime();
	if (!runtime)
		return FAILED;
	JS_SetMemoryLimit(runtime, MEMORY_LIMIT);
	JS_SetMaxStackSize(runtime, STACK_LIMIT);
	JS_SetGCThreshold(runtime, CYCLE_SEARCH);
	context = JS_NewContextRaw(runtime);
	if (!context)
		return FAILED;
	JS_AddIntrinsicBaseObjects(context);
	JS_AddIntrinsicRegExp(context);
	JS_AddIntrinsicMapSet(context);
	global = JS_GetGlobalObject(context);
	native = JS_NewObject(context);
	arguments = JS_NewArray(context);
	for (int index = 1; index < count; index++)
		JS_SetPropertyUint32(context, arguments, index - 1, to_text(context, words[index], strlen(words[index])));
	JS_SetPropertyStr(context, native, "arguments", arguments);
	JS_SetPropertyFunctionList(context, native, functions, sizeof(functions) / sizeof(functions[0]));
	JS_SetPropertyStr(context, global, "native", native);
	if (JS_IsException(JS_EvalFunction(context, JS_ReadObject(context, immutafs_boot, immutafs_boot_size, JS_READ_OBJ_BYTECODE))))
		print_error(context);
	return FAILED;
}
