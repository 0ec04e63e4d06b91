/* A disk that is full. For LD_PRELOAD. Absolute paths in the environment:
 *
 *   TEST_FULL_DIRECTORY  what is below it is on the disk
 *   TEST_FULL_FAULT      a file; while it is there, there is no space
 *
 * What a file has already it keeps, and can be written over; nothing grows beyond the blocks that it has. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static int is_full(void) {
    const char *fault = getenv("TEST_FULL_FAULT");
    return fault && syscall(SYS_access, fault, F_OK) == 0;
}

static int is_on_disk(int fd) {
    const char *directory = getenv("TEST_FULL_DIRECTORY");
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return directory && length > 0 && strncmp(path, directory, strlen(directory)) == 0;
}

/* Whether a file can have bytes up to there. */
static int has_room(int fd, off_t end) {
    int before = errno;
    struct stat status;
    int room = !is_full() || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)
        || end <= (status.st_size + BLOCK - 1) / BLOCK * BLOCK || !is_on_disk(fd);
    errno = room ? before : ENOSPC;
    return room;
}

static off_t length_of(const struct iovec *parts, int count) {
    off_t length = 0;
    for (int part = 0; part < count; part++) length += (off_t)parts[part].iov_len;
    return length;
}

/* Where a write goes that does not say so. */
static off_t place_of(int fd) {
    struct stat status;
    int appends = (fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &status) == 0;
    return appends ? status.st_size : lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (is_full() && !has_room(fd, place_of(fd) + (off_t)count)) return -1;
    return syscall(SYS_write, fd, bytes, count);
}

static ssize_t do_pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return has_room(fd, offset + (off_t)count) ? syscall(SYS_pwrite64, fd, bytes, count, offset) : -1;
}

static ssize_t do_pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    int room = has_room(fd, offset + length_of(parts, count));
    return room ? syscall(SYS_pwritev, fd, parts, count, offset, 0) : -1;
}

static int do_fallocate(int fd, off_t offset, off_t length) {
    if (!has_room(fd, offset + length)) return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return do_pwrite(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return do_pwrite(fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return do_pwritev(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return do_pwritev(fd, parts, count, offset);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return do_fallocate(fd, offset, length);
}

int posix_fallocate64(int fd, off_t offset, off_t length) {
    return do_fallocate(fd, offset, length);
}
