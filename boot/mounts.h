/*
 * Mounts, files, waits and answers of programs, for boot/native.c, which includes this file after directories.h. boot/native.ts describes the functions.
 */

/* mount(source, target, type, flags, data) */
static JSValue native_mount(JSContext *context, JSValueConst this, int count, JSValueConst *values)
{
	char *words[4] = { NULL };
	static const int indexes[] = { 0, 1, 2, 4 };
	int filled = 0;
	int64_t flags;
	long result = 0;

	(void)this, (void)count;
	if (JS_ToInt64(context, &flags, values[3]))
		return JS_EXCEPTION;
	while (filled < 4 && (words[filled] = to_bytes(context, values[indexes[filled]], NULL)))
		filled++;
	if (filled == 4)
		result = mount(words[0], words[1], words[2], flags, words[3]);
	for (int index = 0; index < filled; index++)
		free(words[index]);
	if (filled < 4)
		return JS_EXCEPTION;
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
	JS_CFUNC_DEF("mount", 5, native_mount), \
	JS_CFUNC_DEF("remove", 1, native_remove), \
	JS_CFUNC_DEF("sleep", 1, native_sleep), \
	JS_CFUNC_DEF("output", 1, native_output)
