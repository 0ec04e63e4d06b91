/* A slower disk: fdatasync and fsync that take BENCH_SYNC_DELAY_US longer. For LD_PRELOAD.
 *
 * The delay comes first and the real call after it, so that nothing is reported durable before it is. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void delay(void) {
    const char *text = getenv("BENCH_SYNC_DELAY_US");
    long micros = text ? strtol(text, NULL, 10) : 0;
    struct timespec rest = {micros / 1000000, micros % 1000000 * 1000};
    while (nanosleep(&rest, &rest) == -1 && errno == EINTR) {
    }
}

int fdatasync(int fd) {
    delay();
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    delay();
    return (int)syscall(SYS_fsync, fd);
}
