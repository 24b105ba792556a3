/*
 * exit-threads COUNT: starts COUNT threads and a last one, which all run code in anonymous memory and wait for the end of
 * stdin. Then the last thread unmaps the program and stays; all others exit, the first thread among them. Link it
 * statically.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096UL
#define CODE_SIZE 1024

extern char __executable_start, etext;

struct program {
	long start, size;
};

static inline __attribute__((always_inline)) void call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
}

/* Runs in anonymous memory. Exits if `program` is NULL. */
static __attribute__((noinline)) void *wait_there(void *program)
{
	const struct program *unmapped = program;
	char byte;

	call(SYS_read, 0, (long)&byte, 1);
	if (!unmapped)
		call(SYS_exit, 0, 0, 0);
	call(SYS_munmap, unmapped->start, unmapped->size, 0);
	for (;;)
		call(SYS_pause, 0, 0, 0);
}

int main(int argc, char **argv)
{
	unsigned long start = (unsigned long)&__executable_start, end = ((unsigned long)&etext + PAGE - 1) & ~(PAGE - 1);
	struct program *program = malloc(sizeof(*program));
	void *(*code)(void *) = mmap(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	if (argc != 2 || !program || (void *)code == MAP_FAILED)
		return 1;
	*program = (struct program){ start, end - start };
	memcpy((void *)code, (void *)wait_there, CODE_SIZE);
	for (int count = atoi(argv[1]); count; count--)
		if (pthread_create(&thread, 0, code, 0))
			return 1;
	if (pthread_create(&thread, 0, code, program))
		return 1;
	code(0);
	return 1;
}
