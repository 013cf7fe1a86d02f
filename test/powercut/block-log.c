/*
 * block-log: a FUSE file system with one file, "disk", backed by an image. Every write to it and every flush of it is
 * appended to a log, in the order in which they took effect, so that any state in which a power cut could have left a
 * disk with a volatile write cache can be put together afterwards.
 *
 * The log is a row of records, integers in little-endian order (block-log.ts reads it):
 *
 *   offset 0   4 bytes   kind: 'W' a write, 'F' a flush (a barrier: all writes before it are on the medium)
 *          4   4 bytes   length of the data in bytes; 0 for a flush
 *          8   8 bytes   where on the disk the data begins; 0 for a flush
 *         16   length    the data
 *
 * A record is appended after the write was done and before its writer is told, with one system call. So the size of the
 * log is a clock: what was known to be flushed when the log had n bytes is flushed by the records within n bytes.
 *
 *   block-log IMAGE LOG MOUNTPOINT    runs in the foreground until MOUNTPOINT is unmounted or it gets SIGTERM
 *   gcc -Wall -O2 block-log.c -o block-log $(pkg-config fuse3 --cflags --libs)
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 'W', FLUSH = 'F' };

struct __attribute__((packed)) header {
  uint32_t kind;
  uint32_t length;
  uint64_t offset;
};

static const char *const DISK = "/disk";
static int image;
static int record;

/* Without its record a write must not count as done: then nothing that was recorded later means anything. */
static void append(enum kind kind, const char *data, uint32_t length, uint64_t offset) {
  struct header header = {htole32(kind), htole32(length), htole64(offset)};
  struct iovec parts[] = {{&header, sizeof header}, {(void *)data, length}};
  if (writev(record, parts, 2) != (ssize_t)(sizeof header + length)) {
    perror("block-log: the log");
    abort();
  }
}

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *file) {
  (void)file;
  memset(out, 0, sizeof *out);
  if (strcmp(path, "/") == 0) {
    out->st_mode = S_IFDIR | 0700;
    out->st_nlink = 2;
    return 0;
  }
  if (strcmp(path, DISK) != 0) return -ENOENT;
  if (fstat(image, out) < 0) return -errno;
  out->st_mode = S_IFREG | 0600;
  return 0;
}

static int list(const char *path, void *out, fuse_fill_dir_t fill, off_t offset,
                struct fuse_file_info *file, enum fuse_readdir_flags flags) {
  (void)path, (void)offset, (void)file, (void)flags;
  fill(out, DISK + 1, NULL, 0, 0);
  return 0;
}

static int open_disk(const char *path, struct fuse_file_info *file) {
  (void)file;
  return strcmp(path, DISK) == 0 ? 0 : -ENOENT;
}

static int read_disk(const char *path, char *out, size_t length, off_t offset,
                     struct fuse_file_info *file) {
  (void)path, (void)file;
  ssize_t got = pread(image, out, length, offset);
  return got < 0 ? -errno : (int)got;
}

static int write_disk(const char *path, const char *data, size_t length, off_t offset,
                      struct fuse_file_info *file) {
  (void)path, (void)file;
  ssize_t put = pwrite(image, data, length, offset);
  if (put < 0) return -errno;
  append(WRITE, data, (uint32_t)put, (uint64_t)offset);
  return (int)put;
}

static int flush_disk(const char *path, int only_data, struct fuse_file_info *file) {
  (void)path, (void)only_data, (void)file;
  append(FLUSH, NULL, 0, 0);
  return 0;
}

/* A disk without discard and without fast zeroing: the kernel writes zeros, which are recorded like all else. */
static int allocate(const char *path, int mode, off_t offset, off_t length,
                    struct fuse_file_info *file) {
  (void)path, (void)mode, (void)offset, (void)length, (void)file;
  return -EOPNOTSUPP;
}

static const struct fuse_operations OPERATIONS = {
    .getattr = get_attributes,
    .readdir = list,
    .open = open_disk,
    .read = read_disk,
    .write = write_disk,
    .fsync = flush_disk,
    .fallocate = allocate,
};

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: block-log IMAGE LOG MOUNTPOINT\n");
    return 2;
  }
  image = open(words[1], O_RDWR | O_CLOEXEC);
  record = open(words[2], O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (image < 0 || record < 0) {
    perror("block-log: the image or the log");
    return 1;
  }
  /* One thread (-s): the log has one order, and it is the order in which things took effect. */
  char *fuse_words[] = {words[0], "-f", "-s", words[3], NULL};
  return fuse_main(4, fuse_words, &OPERATIONS, NULL);
}
