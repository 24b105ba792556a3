/*
 * System calls of immutafs-boot on open directories, for native.c, which includes this file. native.ts describes the
 * functions. The owner of a directory on a path can replace the next component at any time, so a path is opened once,
 * component by component, and only the descriptor is used from then on; where a system call takes no descriptor that O_PATH
 * has opened, with the descriptor as the working directory, whose name "." the owner cannot change.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

static long call5(long number, long a, long b, long c, long d, long e)
{
	long result = syscall(number, a, b, c, d, e);

	return result < 0 ? -errno : result;
}

static long call(long number, long a, long b, long c)
{
	return call5(number, a, b, c, 0, 0);
}

#include "bind-directory.h"

/* Leaves the last directory, so that the working directory keeps no file system busy. Returns a value of JavaScript. */
static JSValue result_of(JSContext *context, long result)
{
	call(__NR_chdir, (long)"/", 0, 0);
	return result < 0 ? fail(context, -result) : JS_NewInt64(context, result);
}

/* Takes a number and the bytes of a text from the arguments; NULL with an exception if that fails. */
static char *take(JSContext *context, int32_t *number, JSValueConst first, JSValueConst second)
{
	return JS_ToInt32(context, number, first) ? NULL : to_bytes(context, second, NULL);
}

/* Without O_DIRECTORY, O_PATH would not make the kernel mount what an automount point stands for. */
static JSValue native_open_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	char *name = take(context, &directory, values[0], values[1]);
	long result;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	result = call(__NR_openat, directory < 0 ? AT_FDCWD : directory, (long)name, O_PATH | O_NOFOLLOW | O_CLOEXEC | O_DIRECTORY);
	free(name);
	return result_of(context, result);
}

static JSValue native_close(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t file;

	(void)this, (void)count;
	if (JS_ToInt32(context, &file, values[0]))
		return JS_EXCEPTION;
	close(file);
	return JS_UNDEFINED;
}

/* describe(directory, name): "MODE UID GID DEVICE INODE"; undefined if there is no such file. */
static JSValue native_describe(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	char *name = take(context, &directory, values[0], values[1]), text[128];
	struct stat found;
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		number = errno;
	free(name);
	if (number)
		return number == ENOENT ? JS_UNDEFINED : fail(context, number);
	snprintf(text, sizeof(text), "%u %u %u %llu %llu", found.st_mode, found.st_uid, found.st_gid,
		 (unsigned long long)found.st_dev, (unsigned long long)found.st_ino);
	return JS_NewString(context, text);
}

static JSValue native_make_directory_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory, mode;
	char *name = take(context, &directory, values[0], values[1]);
	long result;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (JS_ToInt32(context, &mode, values[2])) {
		free(name);
		return JS_EXCEPTION;
	}
	result = call(__NR_mkdirat, directory, (long)name, mode);
	free(name);
	return result_of(context, result);
}

static JSValue native_set_owner(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	uint32_t words[4];
	long result;

	(void)this, (void)count;
	for (int index = 0; index < 4; index++)
		if (JS_ToUint32(context, &words[index], values[index]))
			return JS_EXCEPTION;
	result = enter(words[0]);
	if (result == 0)
		result = call(__NR_chown, (long)".", words[1], words[2]);
	/* After chown(2), which clears the set-user-ID bit. */
	if (result == 0)
		result = call(__NR_chmod, (long)".", words[3], 0);
	return result_of(context, result);
}

/* The kernel's limit of an attribute (XATTR_SIZE_MAX in linux/limits.h). */
static char attribute[65536];

/* Returns the size of an attribute; 0 if there is none or if the file system has none; or an error. */
static long read_attribute(long directory, const char *name)
{
	long result = enter(directory);

	if (result == 0)
		result = call5(__NR_getxattr, (long)".", (long)name, (long)attribute, sizeof(attribute), 0);
	return result == -ENODATA || result == -EOPNOTSUPP ? 0 : result;
}

static JSValue native_attribute(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	char *name = take(context, &directory, values[0], values[1]);
	long result;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	result = read_attribute(directory, name);
	free(name);
	call(__NR_chdir, (long)"/", 0, 0);
	return result < 0 ? fail(context, -result) : to_text(context, attribute, result);
}

/* copyAttribute(directory, name, model) */
static JSValue native_copy_attribute(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory, model;
	char *name = take(context, &directory, values[0], values[1]);
	long result, size;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (JS_ToInt32(context, &model, values[2])) {
		free(name);
		return JS_EXCEPTION;
	}
	size = read_attribute(model, name);
	result = size < 0 ? size : enter(directory);
	if (result == 0)
		result = size ? call5(__NR_setxattr, (long)".", (long)name, (long)attribute, size, 0) :
				call(__NR_removexattr, (long)".", (long)name, 0);
	free(name);
	return result_of(context, result);
}

/* space(directory): "BLOCKS SIZE-OF-A-BLOCK FREE-INODES INODES", what is free for every user. */
static JSValue native_space(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	struct statfs now;
	int32_t directory;
	char text[128];
	long result;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]))
		return JS_EXCEPTION;
	result = enter(directory);
	if (result == 0)
		result = call(__NR_statfs, (long)".", (long)&now, 0);
	if (result < 0)
		return result_of(context, result);
	call(__NR_chdir, (long)"/", 0, 0);
	snprintf(text, sizeof(text), "%lld %lld %lld %lld", (long long)now.f_bavail, (long long)(now.f_frsize ? now.f_frsize : now.f_bsize),
		 (long long)now.f_ffree, (long long)now.f_files);
	return JS_NewString(context, text);
}

/* bind(directory, target, flags) */
static JSValue native_bind(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory, target, flags;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]) || JS_ToInt32(context, &target, values[1]) ||
	    JS_ToInt32(context, &flags, values[2]))
		return JS_EXCEPTION;
	return result_of(context, bind(flags, directory, target));
}

/* detach(path): removes a mount from the tree, and then its mount point. Descriptors of its directories stay valid. */
static JSValue native_detach(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *path = to_bytes(context, values[0], NULL);
	long result;

	(void)this, (void)count;
	if (!path)
		return JS_EXCEPTION;
	/* MNT_DETACH | UMOUNT_NOFOLLOW (linux/mount.h of recent kernels; umount(2)) */
	result = call(__NR_umount2, (long)path, 2 | 8, 0);
	call(__NR_rmdir, (long)path, 0, 0);
	free(path);
	return result_of(context, result == -EINVAL ? 0 : result);
}

/* rename(directory, from, to) */
static JSValue native_rename(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	char *from = take(context, &directory, values[0], values[1]);
	char *to = from ? to_bytes(context, values[2], NULL) : NULL;
	long result = to ? call5(__NR_renameat, directory, (long)from, directory, (long)to, 0) : 0;

	(void)this, (void)count;
	free(from);
	if (!to)
		return JS_EXCEPTION;
	free(to);
	return result_of(context, result);
}

/* sync(directory): writes the file system of a directory to its disk. */
static JSValue native_sync(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	long file, result;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]))
		return JS_EXCEPTION;
	file = call(__NR_openat, directory, (long)".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = file < 0 ? file : call(__NR_syncfs, file, 0, 0);
	if (file >= 0)
		close(file);
	return result_of(context, result);
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts a program of PATH in a directory. Returns its process, and sets *output to the end of the pipe of its output; -1: errno. */
static pid_t start(char **words, int directory, int *output)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDONLY);

		setpgid(0, 0);
		alarm(0);
		fcntl(ends[1], F_SETFL, 0);
		if (null < 0 || dup2(null, 0) < 0 || dup2(ends[1], 1) < 0 || dup2(ends[1], 2) < 0 || fchdir(directory) < 0)
			_exit(127);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		setenv("LC_ALL", "C", 1);
		execvp(words[0], words);
		dprintf(2, "%s", strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	*output = ends[0];
	if (child < 0)
		close(ends[0]);
	return child;
}

/* Between SIGTERM, SIGKILL and the end of the wait. */
#define PATIENCE 2000

/*
 * Reads the output of a program until it ends. After the time, ends its process group with SIGTERM, then with SIGKILL, and then
 * leaves it alone: a program that waits for a disk that does not answer cannot be killed. Returns the status of waitpid(2); -1 after
 * the time. A program that continues to run with the pipe open does not delay the end.
 */
static int await(pid_t child, int output, int64_t limit, char *text, size_t room, size_t *filled)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	int64_t end = milliseconds() + limit * 1000;
	size_t sent = 0;
	int status = 0;

	for (;;) {
		struct pollfd wait = { .fd = output, .events = POLLIN };
		char rest[4096];
		ssize_t got;
		int ended = waitpid(child, &status, WNOHANG) != 0;

		while ((got = read(output, *filled < room ? text + *filled : rest, *filled < room ? room - *filled : sizeof(rest))) > 0)
			if (*filled < room)
				*filled += got;
		if (ended)
			return sent ? -1 : status;
		if (milliseconds() >= end) {
			if (sent == sizeof(signals) / sizeof(signals[0]))
				return -1;
			kill(-child, signals[sent++]);
			end = milliseconds() + PATIENCE;
		}
		/* The end of the pipe comes with the end of the program, and poll(2) would return at once. */
		if (got == 0)
			wait.fd = -1;
		poll(&wait, 1, got == 0 ? 2 : 100);
	}
}

/*
 * Waits for a process. Returns its exit code, or 124 after the time, as timeout(1) does, or 128 and the signal; a blank; and its
 * output, at most 64 KiB.
 */
static JSValue outcome_of(JSContext *context, pid_t child, int output, int seconds)
{
	static char text[65536 + 16];
	size_t filled = 0;
	int status = await(child, output, seconds, text + 4, 65536, &filled), begin;

	close(output);
	status = status < 0 ? 124 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	begin = status < 10 ? 2 : status < 100 ? 1 : 0;
	snprintf(text + begin, 5 - begin, "%d", status);
	text[3] = ' ';
	return to_text(context, text + begin, filled + 4 - begin);
}

/* supervise(seconds, directory, program, ...arguments): runs a program of PATH in a directory. Returns its outcome. */
static JSValue native_supervise(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *words[24] = { NULL };
	int32_t seconds, directory;
	int output = -1, given = count - 2, number = 0;
	pid_t child;

	(void)this;
	if (JS_ToInt32(context, &seconds, values[0]) || JS_ToInt32(context, &directory, values[1]))
		return JS_EXCEPTION;
	if (given < 1 || given > 23)
		return fail(context, E2BIG);
	for (int index = 0; index < given; index++) {
		words[index] = to_bytes(context, values[index + 2], NULL);
		if (!words[index])
			return JS_EXCEPTION;
	}
	child = start(words, directory, &output);
	if (child < 0)
		number = errno;
	for (int index = 0; index < given; index++)
		free(words[index]);
	return number ? fail(context, number) : outcome_of(context, child, output, seconds);
}

#define DIRECTORY_FUNCTIONS \
	JS_CFUNC_DEF("openAt", 2, native_open_at), \
	JS_CFUNC_DEF("close", 1, native_close), \
	JS_CFUNC_DEF("describe", 2, native_describe), \
	JS_CFUNC_DEF("makeDirectoryAt", 3, native_make_directory_at), \
	JS_CFUNC_DEF("setOwner", 4, native_set_owner), \
	JS_CFUNC_DEF("attribute", 2, native_attribute), \
	JS_CFUNC_DEF("copyAttribute", 3, native_copy_attribute), \
	JS_CFUNC_DEF("space", 1, native_space), \
	JS_CFUNC_DEF("bind", 3, native_bind), \
	JS_CFUNC_DEF("detach", 1, native_detach), \
	JS_CFUNC_DEF("rename", 3, native_rename), \
	JS_CFUNC_DEF("sync", 1, native_sync), \
	JS_CFUNC_DEF("supervise", 3, native_supervise)
