/*
 * Mounts, files, waits and answers of programs, for native.c, which includes this file after directories.h. native.ts describes
 * the functions.
 */

/* Takes texts from the arguments at these indexes; returns 0 with an exception if that fails. free_words() releases them. */
static int take_words(JSContext *context, char **words, const int *indexes, int count, JSValueConst *values)
{
	for (int index = 0; index < count; index++) {
		words[index] = to_bytes(context, values[indexes[index]], NULL);
		if (!words[index]) {
			while (index > 0)
				free(words[--index]);
			return 0;
		}
	}
	return 1;
}

static void free_words(char **words, int count)
{
	for (int index = 0; index < count; index++)
		free(words[index]);
}

/* mountAt(directory, source, type, flags, data) */
static JSValue native_mount_at(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	static const int indexes[] = { 1, 2, 4 };
	char *words[3];
	int32_t directory;
	int64_t flags;
	long result;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]) || JS_ToInt64(context, &flags, values[3]) ||
	    !take_words(context, words, indexes, 3, values))
		return JS_EXCEPTION;
	result = enter(directory);
	if (result == 0)
		result = mount(words[0], ".", words[1], flags, words[2]);
	free_words(words, 3);
	return result_of(context, result);
}

/*
 * Enters the directory in values[0], and returns the options of its mount with those in values[1] set and those in values[2] cleared;
 * or an error. An exception is -ECANCELED.
 */
static long changed_options(JSContext *context, JSValueConst *values, int32_t *directory)
{
	int64_t set, clear;
	long flags;

	if (JS_ToInt32(context, directory, values[0]) || JS_ToInt64(context, &set, values[1]) ||
	    JS_ToInt64(context, &clear, values[2]))
		return -ECANCELED;
	flags = enter(*directory);
	if (flags == 0)
		flags = find_options(".");
	return flags < 0 ? flags : (flags | set) & ~clear;
}

/* remount(directory, set, clear): changes options of the file system at a mount point, and those of the mount. */
static JSValue native_remount(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	long flags = changed_options(context, values, &directory);

	(void)this, (void)count;
	if (flags == -ECANCELED)
		return JS_EXCEPTION;
	return result_of(context, flags < 0 ? flags : mount(0, ".", 0, MS_REMOUNT | flags, 0));
}

/* setOptions(directory, set, clear): those of the mount; a directory that is no mount point is first bound to itself. */
static JSValue native_set_options(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t directory;
	long flags = changed_options(context, values, &directory), result;

	(void)this, (void)count;
	if (flags == -ECANCELED)
		return JS_EXCEPTION;
	result = flags < 0 ? flags : mount(0, ".", 0, MS_REMOUNT | MS_BIND | flags, 0);
	/* EINVAL: the path is not a mount point (do_reconfigure_mnt() in fs/namespace.c of the kernel). */
	return result_of(context, result == -EINVAL && flags >= 0 ? bind(flags, directory, directory) : result);
}

/* Opens a file that is neither a directory nor a symbolic link, as a place; returns its descriptor, or -errno. */
static int open_place(int directory, const char *name)
{
	struct stat found;
	int file = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), number = 0;

	if (file < 0)
		return -errno;
	if (fstat(file, &found) < 0)
		number = errno;
	else if (S_ISDIR(found.st_mode))
		number = EISDIR;
	else if (S_ISLNK(found.st_mode))
		number = ELOOP;
	if (!number)
		return file;
	close(file);
	return -number;
}

/* Binds an open file to another one, and sets the options of the mount, which is then at the name. */
static long bind_file(int file, int target, int directory, const char *name, long flags)
{
	char from[32], to[32];
	long result;
	int made;

	snprintf(from, sizeof(from), "/proc/self/fd/%d", file);
	snprintf(to, sizeof(to), "/proc/self/fd/%d", target);
	result = mount(from, to, 0, MS_BIND, 0);
	if (result < 0)
		return result;
	made = open_place(directory, name);
	if (made < 0)
		return made;
	snprintf(to, sizeof(to), "/proc/self/fd/%d", made);
	result = mount(0, to, 0, MS_REMOUNT | MS_BIND | flags, 0);
	/* MNT_DETACH */
	if (result < 0)
		call(__NR_umount2, (long)to, 2, 0);
	close(made);
	return result;
}

/* bindFile(directory, name, targetDirectory, targetName, flags) */
static JSValue native_bind_file(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int32_t from, to;
	int64_t flags;
	long result;
	int file, target = -1;
	char *name = take(context, &from, values[0], values[1]);
	char *target_name = name ? take(context, &to, values[2], values[3]) : NULL;

	(void)this, (void)count;
	if (!target_name || JS_ToInt64(context, &flags, values[4])) {
		free(name);
		free(target_name);
		return JS_EXCEPTION;
	}
	file = open_place(from, name);
	result = file;
	if (file >= 0)
		result = target = open_place(to, target_name);
	if (target >= 0)
		result = bind_file(file, target, to, target_name, flags);
	if (file >= 0)
		close(file);
	if (target >= 0)
		close(target);
	free(name);
	free(target_name);
	return result < 0 ? fail(context, -result) : JS_UNDEFINED;
}

/* unmount(path): the topmost mount. */
static JSValue native_unmount(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	long result;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	/* UMOUNT_NOFOLLOW */
	result = call(__NR_umount2, (long)name, 8, 0);
	free(name);
	return result < 0 ? fail(context, -result) : JS_UNDEFINED;
}

/* links(directory): st_nlink. */
static JSValue native_links(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	struct stat found;
	int32_t directory;

	(void)this, (void)count;
	if (JS_ToInt32(context, &directory, values[0]))
		return JS_EXCEPTION;
	if (fstatat(directory, "", &found, AT_EMPTY_PATH) < 0)
		return fail(context, errno);
	return JS_NewInt64(context, found.st_nlink);
}

/* age(file): the seconds since its last change (lstat(2)). */
static JSValue native_age(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	struct stat found;
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (lstat(name, &found) < 0)
		number = errno;
	free(name);
	return number ? fail(context, number) : JS_NewInt64(context, (int64_t)time(NULL) - found.st_mtime);
}

/* append(file, text): with one write(2), because another process may append at the same time. */
static JSValue native_append(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	int fd, number;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
	number = fd < 0 ? errno : write_all(context, fd, values[1]);
	free(name);
	if (fd >= 0)
		close(fd);
	if (number)
		return fail(context, number);
	return JS_HasException(context) ? JS_EXCEPTION : JS_UNDEFINED;
}

/* lock(directory): waits for a lock that ends with this process. */
static JSValue native_lock(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int fd = open_file(context, values[0]);
	long result;

	(void)this, (void)count;
	if (fd < 0)
		return JS_EXCEPTION;
	/* LOCK_EX */
	while ((result = call(__NR_flock, fd, 2, 0)) == -EINTR)
		;
	return result < 0 ? fail(context, -result) : JS_UNDEFINED;
}

/* copyLabel(model, file): gives a file the SELinux label of another one; both are in directories that only root can write to. */
static JSValue native_copy_label(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	static const int indexes[] = { 0, 1 };
	static const char label[] = "security.selinux";
	char *words[2];
	long result;

	(void)this, (void)count;
	if (!take_words(context, words, indexes, 2, values))
		return JS_EXCEPTION;
	result = call5(__NR_lgetxattr, (long)words[0], (long)label, (long)attribute, sizeof(attribute), 0);
	if (result >= 0)
		result = call5(__NR_lsetxattr, (long)words[1], (long)label, (long)attribute, result, 0);
	free_words(words, 2);
	return result < 0 ? fail(context, -result) : JS_UNDEFINED;
}

static JSValue native_remove(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *name = to_bytes(context, values[0], NULL);
	int number = 0;

	(void)this, (void)count;
	if (!name)
		return JS_EXCEPTION;
	if (unlink(name) < 0 && errno != ENOENT)
		number = errno;
	free(name);
	return number ? fail(context, number) : JS_UNDEFINED;
}

/* sleep(milliseconds) */
static JSValue native_sleep(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	struct timespec time;
	uint32_t milliseconds;

	(void)this, (void)count;
	if (JS_ToUint32(context, &milliseconds, values[0]))
		return JS_EXCEPTION;
	time.tv_sec = milliseconds / 1000;
	time.tv_nsec = milliseconds % 1000 * 1000000L;
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
	return JS_UNDEFINED;
}

/* output(program, ...arguments): like run, whatever the exit code. */
static JSValue native_output(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	int status;

	(void)this;
	return run_program(context, count, values, &status);
}

#define MOUNT_FUNCTIONS \
	JS_CFUNC_DEF("mountAt", 5, native_mount_at), \
	JS_CFUNC_DEF("remount", 3, native_remount), \
	JS_CFUNC_DEF("setOptions", 3, native_set_options), \
	JS_CFUNC_DEF("bindFile", 5, native_bind_file), \
	JS_CFUNC_DEF("unmount", 1, native_unmount), \
	JS_CFUNC_DEF("links", 1, native_links), \
	JS_CFUNC_DEF("age", 1, native_age), \
	JS_CFUNC_DEF("append", 2, native_append), \
	JS_CFUNC_DEF("lock", 1, native_lock), \
	JS_CFUNC_DEF("copyLabel", 2, native_copy_label), \
	JS_CFUNC_DEF("remove", 1, native_remove), \
	JS_CFUNC_DEF("sleep", 1, native_sleep), \
	JS_CFUNC_DEF("output", 1, native_output)
