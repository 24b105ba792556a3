/*
 * collect SKIPPED...: prints what decides how this system behaves, for the fingerprint of a boot (fingerprint.ts). The host
 * supplies this static program on a read-only disk. The directories SKIPPED are not entered. Each line has three fields,
 * separated by tabs:
 *   file     path        type, mode, owner, size, link target or digest of the content, extended attributes
 *   program  path        digest of a file that a process has mapped as code
 *   process  arguments   digest of the program, credentials, security label, control group
 *   sysctl   path        value
 *   block    number      name, read-only flag, size, serial number, device-mapper's name, the devices below
 *   text     path        a line of the file
 * Files on a read-only block device are left out, because the host has the digest of the disk. If / is on a writable one, the
 * time of the last change stands for the content of its files. The content of an overlay is that of its layers.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OVERLAY 0x794c7630

static char **skipped;
static char *mount_points[1024];
static size_t mount_count;
static dev_t root_device;

/* SHA-256 (FIPS 180-4). The constants are computed, as the standard defines them: fractional parts of roots of primes. */
static uint32_t k[64], initial[8];

static uint32_t fraction(long double root) { return (uint32_t)((root - (uint32_t)root) * 4294967296.0L); }

static long double root_of(int prime, int degree) {
  long double x = prime;
  for (int i = 0; i < 200; i++) x -= degree == 2 ? (x * x - prime) / (2 * x) : (x * x * x - prime) / (3 * x * x);
  return x;
}

static void prepare_digest(void) {
  for (int n = 2, found = 0; found < 64; n++) {
    int is_prime = 1;
    for (int d = 2; d * d <= n; d++) is_prime &= n % d != 0;
    if (!is_prime) continue;
    if (found < 8) initial[found] = fraction(root_of(n, 2));
    k[found++] = fraction(root_of(n, 3));
  }
}

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

static void compress(uint32_t h[8], const unsigned char *block) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++, block += 4)
    w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (ROTATE(a, 7) ^ ROTATE(a, 18) ^ a >> 3) + w[i - 7] + (ROTATE(b, 17) ^ ROTATE(b, 19) ^ b >> 10);
  }
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t e = s[4], a = s[0];
    uint32_t t1 = s[7] + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
    uint32_t t2 = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += s[i];
}

/* Writes the digest of a file in hexadecimal, or why there is none. */
static void digest(const char *path, char text[65]) {
  static unsigned char buffer[1 << 20];
  uint32_t h[8];
  uint64_t total = 0;
  ssize_t n = 0;
  int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
  if (file < 0) file = open(path, O_RDONLY | O_NONBLOCK);
  if (file < 0) {
    strcpy(text, "unreadable");
    return;
  }
  memcpy(h, initial, sizeof h);
  size_t kept = 0;
  while ((n = read(file, buffer + kept, sizeof buffer - 128 - kept)) > 0) {
    total += (uint64_t)n;
    size_t all = kept + (size_t)n, done = 0;
    for (; all - done >= 64; done += 64) compress(h, buffer + done);
    kept = all - done;
    memmove(buffer, buffer + done, kept);
  }
  close(file);
  size_t end = kept < 56 ? 64 : 128;
  memset(buffer + kept, 0, end - kept);
  buffer[kept] = 0x80;
  for (int i = 0; i < 8; i++) buffer[end - 1 - (size_t)i] = (unsigned char)(total * 8 >> 8 * i);
  for (size_t done = 0; done < end; done += 64) compress(h, buffer + done);
  for (int i = 0; i < 8; i++) sprintf(text + 8 * i, "%08x", h[i]);
  if (n < 0) strcpy(text, "unreadable");
}

/* Prints a text in which control characters and backslashes are escaped, so that no value forges a line. */
static void print(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 32 || c == 127 || c == '\\') printf("\\%03o", c);
    else putchar_unlocked(c);
  }
}

static void begin(const char *section, const char *key) {
  printf("%s\t", section);
  print(key, strlen(key));
  putchar('\t');
}

/* Reads a small file of the kernel; the result is overwritten by the next call. */
static char *content(const char *path, size_t *length) {
  static char buffer[1 << 20];
  int file = open(path, O_RDONLY | O_NONBLOCK);
  size_t total = 0;
  ssize_t n;
  while (file >= 0 && total < sizeof buffer - 1 && (n = read(file, buffer + total, sizeof buffer - 1 - total)) > 0)
    total += (size_t)n;
  if (file >= 0) close(file);
  buffer[total] = '\0';
  if (length) *length = total;
  return buffer;
}

static void print_content(const char *path) {
  size_t length;
  char *text = content(path, &length);
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\0')) length--;
  print(text, length);
}

static void text_file(const char *path) {
  char *copy = strdup(content(path, NULL)), *rest = copy, *line;
  while ((line = strsep(&rest, "\n")))
    if (*line) {
      begin("text", path);
      print(line, strlen(line));
      putchar('\n');
    }
  free(copy);
}

/* Whether a file is on a block device that is read-only. */
static int is_read_only(dev_t device) {
  char path[64];
  snprintf(path, sizeof path, "/sys/dev/block/%u:%u/ro", major(device), minor(device));
  int file = open(path, O_RDONLY);
  char flag = '0';
  if (file >= 0 && read(file, &flag, 1) != 1) flag = '0';
  if (file >= 0) close(file);
  return flag == '1';
}

static void attributes(const char *path) {
  char names[4096], value[4096];
  ssize_t size = llistxattr(path, names, sizeof names);
  for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
    ssize_t length = lgetxattr(path, name, value, sizeof value);
    printf(" %s=", name);
    print(value, length > 0 ? (size_t)length : 0);
  }
}

static void entry(const char *path, const struct stat *st, int is_layered) {
  begin("file", path);
  printf("%o %u:%u", st->st_mode, st->st_uid, st->st_gid);
  if (S_ISREG(st->st_mode)) {
    char sum[65] = "-";
    if (st->st_dev == root_device) snprintf(sum, sizeof sum, "%lld.%09ld", (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    else if (!is_layered) digest(path, sum);
    printf(" %lld %s", (long long)st->st_size, sum);
  } else if (S_ISLNK(st->st_mode)) {
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target);
    printf(" -> ");
    print(target, length > 0 ? (size_t)length : 0);
  } else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
    printf(" %u:%u", major(st->st_rdev), minor(st->st_rdev));
  }
  attributes(path);
  putchar('\n');
}

static int is_in(char *const list[], size_t count, const char *path) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i], path) == 0) return 1;
  return 0;
}

/* Prints the files of a mount, without those of the mounts below. */
static void walk(char *mount_point, size_t skipped_count) {
  char *paths[] = {mount_point, NULL};
  struct stat st;
  struct statfs fs;
  if (lstat(mount_point, &st) != 0 || statfs(mount_point, &fs) != 0 || is_read_only(st.st_dev)) return;
  FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  for (FTSENT *each; tree && (each = fts_read(tree));) {
    if (each->fts_info == FTS_DP) continue;
    int is_other = each->fts_level > 0 && each->fts_info == FTS_D && is_in(mount_points, mount_count, each->fts_path);
    if (is_other || is_in(skipped, skipped_count, each->fts_path)) fts_set(tree, each, FTS_SKIP);
    if (!is_other && each->fts_info != FTS_NS) entry(each->fts_path, each->fts_statp, fs.f_type == OVERLAY);
  }
  if (tree) fts_close(tree);
}

/* File systems of the kernel, whose files are no files of a disk. /proc/sys is in the sections of the sysctls. */
static int is_virtual(const char *type) {
  static const char *const types[] = {"proc", "sysfs", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf", "pstore",
                                      "efivarfs", "mqueue", "hugetlbfs", "configfs", "devpts", "autofs", "selinuxfs",
                                      "fusectl", "binfmt_misc"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i], type) == 0) return 1;
  return 0;
}

static void unescape(char *path) {
  char *to = path;
  for (char *from = path; *from; to++) {
    if (*from == '\\') {
      *to = (char)strtol((char[]){from[1], from[2], from[3], 0}, NULL, 8);
      from += 4;
    } else *to = *from++;
  }
  *to = '\0';
}

static void files(size_t skipped_count) {
  static char virtual_mounts[1024];
  char *copy = strdup(content("/proc/1/mountinfo", NULL)), *rest = copy, *line;
  while ((line = strsep(&rest, "\n"))) {
    char target[PATH_MAX], type[64];
    char *dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s", target) != 1 || sscanf(dash, " - %63s", type) != 1) continue;
    unescape(target);
    if (mount_count == sizeof virtual_mounts) exit(3);
    virtual_mounts[mount_count] = (char)is_virtual(type);
    mount_points[mount_count++] = strdup(target);
  }
  for (size_t i = 0; i < mount_count; i++)
    if (!virtual_mounts[i] && !is_in(mount_points, i, mount_points[i])) walk(mount_points[i], skipped_count);
  free(copy);
}

static void sysctls(void) {
  char *paths[] = {"/proc/sys", NULL};
  FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  for (FTSENT *each; tree && (each = fts_read(tree));) {
    if (each->fts_info != FTS_F) continue;
    begin("sysctl", each->fts_path + strlen("/proc/sys/"));
    print_content(each->fts_path);
    putchar('\n');
  }
  if (tree) fts_close(tree);
}

/* Returns the path of a file in a folder; the next call overwrites it. */
static char *in(const char *folder, const char *name) {
  static char path[2 * PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void file_in(const char *folder, const char *name) {
  putchar(' ');
  print_content(in(folder, name));
}

static void blocks(void) {
  DIR *all = opendir("/sys/class/block");
  for (struct dirent *each; all && (each = readdir(all));) {
    if (each->d_name[0] == '.') continue;
    char folder[PATH_MAX], number[32];
    snprintf(folder, sizeof folder, "/sys/class/block/%s", each->d_name);
    snprintf(number, sizeof number, "%.30s", content(in(folder, "dev"), NULL));
    number[strcspn(number, "\n")] = '\0';
    begin("block", number);
    printf("%s", each->d_name);
    for (const char *const *name = (const char *const[]){"ro", "size", "serial", "dm/name", "dm/uuid", NULL}; *name; name++) {
      printf(" %s:", *name);
      file_in(folder, *name);
    }
    DIR *slaves = opendir(in(folder, "slaves"));
    for (struct dirent *slave; slaves && (slave = readdir(slaves));)
      if (slave->d_name[0] != '.') printf(" on:%s", slave->d_name);
    if (slaves) closedir(slaves);
    putchar('\n');
  }
  if (all) closedir(all);
}

/* Writes the digest of a program, or its place on the disk of which the host has the digest. */
static void identify(const char *path, char text[65]) {
  struct stat st;
  if (stat(path, &st) == 0 && is_read_only(st.st_dev))
    snprintf(text, 65, "read-only, inode %llu, %lld bytes", (unsigned long long)st.st_ino, (long long)st.st_size);
  else digest(path, text);
}

/* Prints the files that a process has mapped as code, each once. */
static void programs(const char *folder) {
  static char *seen[4096];
  static size_t seen_count;
  char name[PATH_MAX], sum[65];
  char *copy = strdup(content(in(folder, "maps"), NULL)), *rest = copy, *line;
  while ((line = strsep(&rest, "\n"))) {
    unsigned long from, to;
    char mode[8], file[128];
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095[^\n]", &from, &to, mode, name) != 4 || mode[2] != 'x' || name[0] != '/') continue;
    if (is_in(seen, seen_count, name) || seen_count == sizeof seen / sizeof *seen) continue;
    seen[seen_count++] = strdup(name);
    snprintf(file, sizeof file, "map_files/%lx-%lx", from, to);
    identify(in(folder, file), sum);
    begin("program", name);
    printf("%s\n", sum);
  }
  free(copy);
}

static void process(const char *pid) {
  char folder[64], exe[PATH_MAX], sum[65];
  size_t length;
  snprintf(folder, sizeof folder, "/proc/%.50s", pid);
  /* A thread of the kernel has no program. */
  if (readlink(in(folder, "exe"), exe, sizeof exe) < 0) return;
  identify(in(folder, "exe"), sum);
  char *words = content(in(folder, "cmdline"), &length);
  for (size_t i = 0; i < length; i++)
    if (words[i] == '\0') words[i] = ' ';
  begin("process", words);
  printf("%s", sum);
  char *status = strdup(content(in(folder, "status"), NULL)), *rest = status, *line;
  while ((line = strsep(&rest, "\n")))
    if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "Gid", 3) == 0 || strncmp(line, "Cap", 3) == 0 ||
        strncmp(line, "NoNewPrivs", 10) == 0 || strncmp(line, "Seccomp:", 8) == 0) {
      putchar(' ');
      print(line, strlen(line));
    }
  free(status);
  file_in(folder, "attr/current");
  file_in(folder, "cgroup");
  putchar('\n');
  programs(folder);
}

static void processes(void) {
  DIR *all = opendir("/proc");
  for (struct dirent *each; all && (each = readdir(all));)
    if (each->d_name[0] >= '1' && each->d_name[0] <= '9') process(each->d_name);
  if (all) closedir(all);
}

static void is_genuine(const char *path, long magic) {
  struct statfs fs;
  begin("text", path);
  puts(statfs(path, &fs) == 0 && fs.f_type == magic ? "of the kernel" : "not of the kernel");
}

int main(int argc, char **argv) {
  static const char *const texts[] = {
      "/proc/1/mountinfo", "/proc/cmdline", "/proc/modules", "/proc/swaps", "/proc/keys", "/proc/filesystems",
      "/proc/net/unix", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6", "/proc/net/raw", "/proc/net/packet",
      "/sys/power/resume", "/sys/kernel/security/lockdown", "/sys/kernel/security/lsm", "/sys/fs/selinux/enforce", "/run/immutafs/boot.env", "/run/immutafs/scratch-device"};
  struct stat st;
  char own[64], first[64];
  skipped = argv + 1;
  prepare_digest();
  if (lstat("/", &st) != 0) return 3;
  root_device = st.st_dev;
  ssize_t a = readlink("/proc/self/ns/mnt", own, sizeof own), b = readlink("/proc/1/ns/mnt", first, sizeof first);
  begin("text", "mount namespace");
  puts(a > 0 && a == b && memcmp(own, first, (size_t)a) == 0 ? "that of PID 1" : "another");
  is_genuine("/proc", 0x9fa0);
  is_genuine("/sys", 0x62656572);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) text_file(texts[i]);
  blocks();
  sysctls();
  processes();
  files((size_t)argc - 1);
  puts("end\t\t");
  return fflush(stdout) == 0 ? 0 : 3;
}
