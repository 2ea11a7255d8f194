/* Makes the disk of recordings slow: a library for LD_PRELOAD. The environment variable SLOW_DISK names a file with the
   milliseconds for which each write and each sync of a file below a directory "recordings" waits. If the file is changed
   or deleted in the meantime, the wait ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static long milliseconds(void) {
    const char *name = getenv("SLOW_DISK");
    long value = 0;
    FILE *file = name ? fopen(name, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &value) != 1) value = 0;
        fclose(file);
    }
    return value;
}

static void wait_for_disk(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (!strstr(path, "/recordings/")) return;
    long delay = milliseconds();
    for (long waited = 0; waited < delay && milliseconds() == delay; waited += 20) usleep(20000);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ssize_t (*next)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    wait_for_disk(descriptor);
    return next(descriptor, parts, count);
}

int fdatasync(int descriptor) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
    wait_for_disk(descriptor);
    return next(descriptor);
}
