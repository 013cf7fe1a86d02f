/*
 * Preloaded: makes the Nth call that changes what lies below FAULT_UNDER fail, once.
 *   FAULT_AT     which call, from 1; 0: none, only count
 *   FAULT_ERRNO  the error; 0: a short write, and ENOSPC for the calls that cannot be short
 *   FAULT_COUNT  a file: the number of calls is left there, at each of them
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int is_ours(const char *path) {
  const char *under = getenv("FAULT_UNDER");
  return under != NULL && path != NULL && strncmp(path, under, strlen(under)) == 0;
}

static int is_ours_fd(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_ours(path);
}

/* 0: go on; otherwise the error that this call has. SHORT: a short write. */
enum { SHORT = -1 };
static int fault(int may_be_short) {
  long at = atomic_fetch_add(&calls, 1) + 1;
  const char *count = getenv("FAULT_COUNT");
  if (count != NULL) {
    char text[32];
    int length = snprintf(text, sizeof text, "%ld", at);
    int fd = open(count, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (fd >= 0) real(fd, text, (size_t)length), close(fd);
  }
  if (at != atol(getenv("FAULT_AT") ? getenv("FAULT_AT") : "0")) return 0;
  int error = atoi(getenv("FAULT_ERRNO"));
  if (error != 0) return error;
  return may_be_short ? SHORT : ENOSPC;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL_IF(ours)                                  \
  if (ours) {                                          \
    int error = fault(0);                              \
    if (error != 0) { errno = error; return -1; }      \
  }
#define CUT_IF(ours, length)                           \
  if (ours) {                                          \
    int error = fault(1);                              \
    if (error == SHORT) (length) = (length) / 2;       \
    else if (error != 0) { errno = error; return -1; } \
  }

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  CUT_IF(is_ours_fd(fd), length);
  return real(fd, bytes, length);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  REAL(pwrite);
  CUT_IF(is_ours_fd(fd), length);
  return real(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  REAL(pwrite64);
  CUT_IF(is_ours_fd(fd), length);
  return real(fd, bytes, length, at);
}
/* LevelDB writes its tables and its log by stdio, which does not come by `write`. */
size_t fwrite_unlocked(const void *bytes, size_t size, size_t count, FILE *file) {
  REAL(fwrite_unlocked);
  if (is_ours_fd(fileno(file))) {
    int error = fault(1);
    if (error == SHORT) { real(bytes, size, count / 2, file); errno = ENOSPC; return count / 2; }
    if (error != 0) { errno = error; return 0; }
  }
  return real(bytes, size, count, file);
}
int fflush_unlocked(FILE *file) {
  REAL(fflush_unlocked);
  if (file != NULL) FAIL_IF(is_ours_fd(fileno(file)));
  return real(file);
}
int fsync(int fd) { REAL(fsync); FAIL_IF(is_ours_fd(fd)); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); FAIL_IF(is_ours_fd(fd)); return real(fd); }
int rename(const char *from, const char *to) { REAL(rename); FAIL_IF(is_ours(to)); return real(from, to); }
int unlink(const char *path) { REAL(unlink); FAIL_IF(is_ours(path)); return real(path); }
int rmdir(const char *path) { REAL(rmdir); FAIL_IF(is_ours(path)); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); FAIL_IF(is_ours(path)); return real(path, mode); }
