/* For programs without a C library: system calls, and the entry point, which calls run(stack). */
static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

/* A system call with six arguments. */
static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
			 : "rcx", "r11", "memory");
	return result;
}

/* A system call with five arguments. */
static inline long call5(long number, long a, long b, long c, long d, long e)
{
	return call6(number, a, b, c, d, e, 0);
}

__attribute__((noreturn)) static inline void quit(long code)
{
	for (;;)
		call(__NR_exit, code, 0, 0);
}

static inline long length_of(const char *text)
{
	long length = 0;

	while (text[length])
		length++;
	return length;
}

/* The kernel leaves argc and argv on the stack (System V ABI, AMD64 supplement, 3.4.1). */
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
