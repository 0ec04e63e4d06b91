/* A disk that can lose power and fail. For LD_PRELOAD.
 *
 * What a process writes into one flat directory is kept apart from what it has made durable there, and its writes
 * and syncs can be made to fail while it runs. Absolute paths in the environment:
 *
 *   TEST_DISK_LIVE      the directory; what is in it when the process starts counts as durable
 *   TEST_DISK_DURABLE   an empty directory; `names` in it is what a power cut would leave of the live one
 *   TEST_DISK_FAULT     a file; while it is there, its one word says what fails:
 *                              full       writes, with ENOSPC
 *                              readonly   writes, and opening for writing, with EROFS
 *                              sync       syncs, with EIO
 *                              sync-once  the next sync, with EIO; then the file is removed
 *
 * The rules are the strictest that POSIX allows: bytes are durable when their file was synced, names when the directory
 * was. A sync that fails forgets what it should have written, as Linux does, so that a later one does not make up for
 * it. SQLite's shared memory (-shm) is mapped and not worth keeping; nothing else in a data directory is mapped for
 * writing. Nothing here touches the real disk: syncs are as fast as memory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A file of the live directory. */
struct file {
    struct file *next;
    ino_t inode;
    /* For reading; never closed: closing any descriptor of a file would drop the locks that SQLite has on it, and an
     * open one keeps the number of the inode from being used again. */
    int live;
    /* What is durable of it. */
    int durable;
    /* Written since the last sync: from `from` on, up to `to`. All that was written is durable after a sync, so one
     * range is enough. */
    off_t from, to;
    /* How short it has been since the last sync: what was durable beyond is gone then. */
    off_t shortest;
};

static char live[PATH_MAX], names[PATH_MAX], contents[PATH_MAX];
static const char *fault_file;
static struct stat live_directory;
static struct file *files;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The calls that are replaced below, as the kernel has them. */
static ssize_t sys_write(int fd, const void *bytes, size_t count) {
    return syscall(SYS_write, fd, bytes, count);
}

static ssize_t sys_pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

static int sys_ftruncate(int fd, off_t length) {
    return (int)syscall(SYS_ftruncate, fd, length);
}

static int sys_open(int at, const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

/* A disk that does not work would prove nothing. */
static void must(int good, const char *what) {
    if (good) return;
    dprintf(STDERR_FILENO, "disk.c: %s: %s\n", what, strerror(errno));
    abort();
}

static void join(char *path, const char *directory, const char *name) {
    must(snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX, "path too long");
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), of_end = strlen(end);
    return length >= of_end && strcmp(text + length - of_end, end) == 0;
}

/* The name of a path directly below the live directory, or NULL. */
static const char *name_of(const char *path) {
    size_t length = strlen(live);
    if (strncmp(path, live, length) != 0 || path[length] != '/') return NULL;
    const char *name = path + length + 1;
    return *name && !strchr(name, '/') ? name : NULL;
}

/* --- what is durable --- */

static struct file *add_file(const char *path, ino_t inode) {
    char name[32], durable[PATH_MAX];
    snprintf(name, sizeof name, "%ju", (uintmax_t)inode);
    join(durable, contents, name);
    struct file *file = calloc(1, sizeof *file);
    must(file != NULL, "memory");
    file->inode = inode;
    file->live = sys_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    must(file->live >= 0, path);
    file->durable = sys_open(AT_FDCWD, durable, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(file->durable >= 0, durable);
    file->next = files;
    files = file;
    return file;
}

static struct file *known_file(ino_t inode) {
    struct file *file = files;
    while (file && file->inode != inode) file = file->next;
    return file;
}

/* The file behind a descriptor, when it is one whose bytes are kept. */
static struct file *file_of(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_dev != live_directory.st_dev) return NULL;
    struct file *file = known_file(status.st_ino);
    if (file) return file;
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    if (!name_of(path) || ends_with(path, "-shm") || ends_with(path, " (deleted)")) return NULL;
    return add_file(path, status.st_ino);
}

static void written(int fd, off_t offset, ssize_t count) {
    if (count <= 0) return;
    pthread_mutex_lock(&mutex);
    struct file *file = file_of(fd);
    if (file) {
        int clean = file->from == file->to;
        if (clean || offset < file->from) file->from = offset;
        if (clean || offset + count > file->to) file->to = offset + count;
    }
    pthread_mutex_unlock(&mutex);
}

static void shortened(int fd, off_t length) {
    pthread_mutex_lock(&mutex);
    struct file *file = file_of(fd);
    if (file && length < file->shortest) file->shortest = length;
    pthread_mutex_unlock(&mutex);
}

static void forget_writes(struct file *file) {
    struct stat status;
    must(fstat(file->live, &status) == 0, "fstat");
    file->from = file->to = 0;
    file->shortest = status.st_size;
}

static void make_durable(struct file *file) {
    static char buffer[1 << 20];
    struct stat status;
    must(fstat(file->live, &status) == 0, "fstat");
    must(sys_ftruncate(file->durable, file->shortest) == 0, "ftruncate");
    must(sys_ftruncate(file->durable, status.st_size) == 0, "ftruncate");
    off_t at = file->from, end = file->to < status.st_size ? file->to : status.st_size;
    while (at < end) {
        size_t wanted = (size_t)(end - at) < sizeof buffer ? (size_t)(end - at) : sizeof buffer;
        ssize_t count = pread(file->live, buffer, wanted, at);
        must(count > 0 && sys_pwrite(file->durable, buffer, (size_t)count, at) == count, "copy");
        at += count;
    }
    forget_writes(file);
}

/* Gives a durable file its name, in one step as a directory does. */
static void make_name_durable(const char *name, struct file *file) {
    char inode[32], content[PATH_MAX], next[PATH_MAX], path[PATH_MAX];
    snprintf(inode, sizeof inode, "%ju", (uintmax_t)file->inode);
    join(content, contents, inode);
    join(next, contents, "next");
    join(path, names, name);
    struct stat named, wanted;
    must(fstat(file->durable, &wanted) == 0, "fstat");
    if (stat(path, &named) == 0 && named.st_ino == wanted.st_ino) return;
    must(link(content, next) == 0 && rename(next, path) == 0, "link");
}

static void make_names_durable(void) {
    char path[PATH_MAX];
    struct stat status;
    struct dirent *entry;
    DIR *directory = opendir(live);
    must(directory != NULL, live);
    while ((entry = readdir(directory))) {
        join(path, live, entry->d_name);
        if (ends_with(path, "-shm") || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        struct file *file = known_file(status.st_ino);
        make_name_durable(entry->d_name, file ? file : add_file(path, status.st_ino));
    }
    closedir(directory);
    directory = opendir(names);
    must(directory != NULL, names);
    while ((entry = readdir(directory))) {
        join(path, live, entry->d_name);
        if (stat(path, &status) == 0) continue;
        join(path, names, entry->d_name);
        must(unlink(path) == 0, "unlink");
    }
    closedir(directory);
}

static int is_live_directory(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_ino == live_directory.st_ino &&
           status.st_dev == live_directory.st_dev;
}

/* What is there from the start is durable. */
static void take_stock(void) {
    char path[PATH_MAX];
    struct stat status;
    struct dirent *entry;
    DIR *directory = opendir(live);
    must(directory != NULL, live);
    while ((entry = readdir(directory))) {
        join(path, live, entry->d_name);
        if (ends_with(path, "-shm") || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        struct file *file = add_file(path, status.st_ino);
        file->to = status.st_size;
        make_durable(file);
    }
    closedir(directory);
    make_names_durable();
}

__attribute__((constructor)) static void start(void) {
    const char *durable = getenv("TEST_DISK_DURABLE");
    const char *directory = getenv("TEST_DISK_LIVE");
    fault_file = getenv("TEST_DISK_FAULT");
    must(durable && directory && fault_file, "TEST_DISK_LIVE, _DURABLE or _FAULT is not set");
    must(realpath(directory, live) != NULL && stat(live, &live_directory) == 0, directory);
    join(names, durable, "names");
    join(contents, durable, "contents");
    must(mkdir(names, 0700) == 0 && mkdir(contents, 0700) == 0, durable);
    take_stock();
}

/* --- what fails --- */

static int fails(const char *word) {
    char text[16] = "";
    int fd = sys_open(AT_FDCWD, fault_file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    ssize_t count = read(fd, text, sizeof text - 1);
    close(fd);
    return count > 0 && strcmp(text, word) == 0;
}

/* Whether a call that writes to this descriptor fails; sets errno. */
static int refuses_write(int fd) {
    pthread_mutex_lock(&mutex);
    int kept = file_of(fd) != NULL;
    pthread_mutex_unlock(&mutex);
    if (!kept) return 0;
    int full = fails("full");
    if (!full && !fails("readonly")) return 0;
    errno = full ? ENOSPC : EROFS;
    return 1;
}

static int refuses_open(const char *path, int flags) {
    if ((flags & O_ACCMODE) == O_RDONLY || !name_of(path) || !fails("readonly")) return 0;
    errno = EROFS;
    return 1;
}

static int fails_to_sync(void) {
    if (fails("sync")) return 1;
    return fails("sync-once") && unlink(fault_file) == 0;
}

/* --- the calls --- */

static ssize_t do_pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (refuses_write(fd)) return -1;
    ssize_t done = sys_pwrite(fd, bytes, count, offset);
    written(fd, offset, done);
    return done;
}

static ssize_t do_pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (refuses_write(fd)) return -1;
    ssize_t done = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    written(fd, offset, done);
    return done;
}

static int do_ftruncate(int fd, off_t length) {
    if (fails("readonly") && refuses_write(fd)) return -1;
    int result = sys_ftruncate(fd, length);
    if (result == 0) shortened(fd, length);
    return result;
}

static int do_sync(int fd) {
    pthread_mutex_lock(&mutex);
    struct file *file = file_of(fd);
    int directory = !file && is_live_directory(fd);
    int failed = (file || directory) && fails_to_sync();
    if (file && failed) forget_writes(file);
    if (file && !failed) make_durable(file);
    if (directory && !failed) make_names_durable();
    pthread_mutex_unlock(&mutex);
    if (failed) {
        errno = EIO;
        return -1;
    }
    return file || directory ? 0 : (int)syscall(SYS_fsync, fd);
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    if (refuses_open(path, flags)) return -1;
    int fd = sys_open(at, path, flags, mode);
    if (fd >= 0 && flags & O_TRUNC) shortened(fd, 0);
    return fd;
}

/* The mode stands there only when a file may be made. */
#define MODE(flags)                                                   \
    mode_t mode = 0;                                                  \
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {        \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode = va_arg(rest, mode_t);                                  \
        va_end(rest);                                                 \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return do_open(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    return do_open(at, path, flags, mode);
}

int creat(const char *path, mode_t mode) {
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) {
    return creat(path, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (refuses_write(fd)) return -1;
    ssize_t done = sys_write(fd, bytes, count);
    if (done > 0) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (refuses_write(fd)) return -1;
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    if (done > 0) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
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

int ftruncate(int fd, off_t length) {
    return do_ftruncate(fd, length);
}

int ftruncate64(int fd, off_t length) {
    return do_ftruncate(fd, length);
}

int fsync(int fd) {
    return do_sync(fd);
}

int fdatasync(int fd) {
    return do_sync(fd);
}
