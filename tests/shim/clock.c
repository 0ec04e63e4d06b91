/* A machine whose clock is wrong: preloaded, it moves what a process is told of the time of day by TEST_CLOCK_OFFSET
 * seconds. Uptimes are as they are. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *offset = getenv("TEST_CLOCK_OFFSET");
    if (result == 0 && clock == CLOCK_REALTIME && offset)
        time->tv_sec += atol(offset);
    return result;
}
