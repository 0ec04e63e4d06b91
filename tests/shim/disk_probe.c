/* Writes, syncs and does not sync, in the directory that is its argument: what `disk.c` must tell apart. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put(int fd, const char *text) {
    assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int made(const char *name, const char *text) {
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert(fd >= 0);
    put(fd, text);
    return fd;
}

static int synced(const char *name, const char *text) {
    int fd = made(name, text);
    assert(fsync(fd) == 0);
    return fd;
}

int main(int count, char **arguments) {
    assert(count == 2 && chdir(arguments[1]) == 0);
    synced("synced", "kept");
    made("not-synced", "lost");

    int fd = synced("overwritten", "old");
    assert(pwrite(fd, "new", 3, 0) == 3);
    fd = synced("overwritten-synced", "old");
    assert(pwrite(fd, "n", 1, 0) == 1 && fdatasync(fd) == 0);

    fd = synced("cut", "whole");
    assert(ftruncate(fd, 1) == 0);
    fd = synced("cut-and-grown", "whole");
    assert(ftruncate(fd, 1) == 0 && pwrite(fd, "!", 1, 3) == 1 && fdatasync(fd) == 0);
    synced("emptied", "whole");
    fd = open("emptied", O_WRONLY | O_TRUNC);
    put(fd, "x");
    assert(fsync(fd) == 0);

    synced("old-name", "renamed");
    assert(rename("old-name", "new-name") == 0);
    synced("removed", "gone");
    assert(unlink("removed") == 0);

    int directory = open(".", O_RDONLY | O_DIRECTORY);
    assert(directory >= 0 && fsync(directory) == 0);
    synced("not-named", "lost");
    assert(unlink("synced") == 0);
    return 0;
}
