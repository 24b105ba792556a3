/*
 * hold-memory FILE PROGRAM: becomes a process whose files in /proc cannot be read, because it waits forever in
 * execve(2). FILE is that of hanging-file.py. A child with the same memory (CLONE_VM) holds its lock: mmap(2) of FILE
 * waits for a page that another child is reading. execve then waits for this lock, and holds exec_update_lock, which
 * every reader of /proc/PID/maps needs. (A kernel from 6.17 on reads maps without the lock of the memory.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static int direct;
static char stack[65536];

static int hold(void *unused) {
  (void)unused;
  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, direct, 0);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int cached = open(argv[1], O_RDONLY);
  direct = open(argv[1], O_RDONLY);
  if (cached < 0 || direct < 0) return 1;
  if (fork() == 0) {
    char byte;
    return read(cached, &byte, 1) != 1;
  }
  sleep(1);
  /* In memory already, because a page fault would wait for the lock before execve does. */
  char number[] = "60";
  char *words[] = {argv[2], number, NULL}, *none[] = {NULL};
  if (clone(hold, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL) < 0) return 1;
  sleep(1);
  execve(words[0], words, none);
  return 1;
}
