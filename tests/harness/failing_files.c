/* File operations that fail on demand, for a program that knows nothing of it: put before the C library with LD_PRELOAD.
 *
 *   FAIL_BELOW  directories, with colons between them; operations on other files are left alone and not counted
 *   FAIL_AT     which operation fails, from 1; 0 or absent: none
 *   FAIL_HOW    ENOSPC  it and all later ones that need room fail for want of it
 *               EIO     it alone fails, whatever it is
 *               KILL    the process is killed in place of it
 *               EINTR   every second opening, reading, writing and making durable is interrupted; FAIL_AT says from which on
 *               SHORT   every write takes half of what it is given; FAIL_AT says from which on
 *   FAIL_LOG    file to which every operation is written before it is done, one line each: number, name, path
 *
 * Counted are opening, reading, writing, cutting, making durable, renaming, making directories, setting modes and removing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { NEEDS_ROOM, NEEDS_NONE };

static atomic_long operations;

/* Whether `path` lies below one of the directories. */
static int is_watched(const char *path) {
    const char *below = getenv("FAIL_BELOW");
    while (below && *below) {
        const char *end = strchrnul(below, ':');
        size_t length = (size_t)(end - below);
        if (strncmp(path, below, length) == 0 && (path[length] == '/' || path[length] == 0)) return 1;
        below = *end ? end + 1 : end;
    }
    return 0;
}

static void note(long number, const char *name, const char *path) {
    const char *log = getenv("FAIL_LOG");
    char line[2 * PATH_MAX + 64];
    if (!log) return;
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, name, path);
    /* Past every function that is watched here. */
    long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (length > 0) syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

/* Counts an operation: 0 to go on, 1 to do half of it, -1 with errno set to fail. */
static int verdict(const char *name, const char *path, enum what what) {
    if (!path || !is_watched(path)) return 0;
    long number = atomic_fetch_add(&operations, 1) + 1;
    note(number, name, path);
    const char *text = getenv("FAIL_AT");
    const char *how = getenv("FAIL_HOW");
    long at = text ? atol(text) : 0;
    if (at <= 0 || !how || number < at) return 0;
    if (strcmp(how, "ENOSPC") == 0) {
        if (what == NEEDS_NONE) return 0;
        errno = ENOSPC;
        return -1;
    }
    if (strcmp(how, "EINTR") == 0) {
        /* The others are never interrupted on a disk. */
        if (number % 2 || !strstr("open read write sync", name)) return 0;
        errno = EINTR;
        return -1;
    }
    if (strcmp(how, "SHORT") == 0) return 1;
    if (number > at) return 0;
    if (strcmp(how, "KILL") == 0) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = EIO;
    return -1;
}

/* The path of an open file, in `buffer` of PATH_MAX bytes. */
static const char *path_of(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0) return NULL;
    buffer[length] = 0;
    return buffer;
}

/* `path` as seen from the directory `fd`. */
static const char *path_at(int fd, const char *path, char *buffer) {
    if (path[0] == '/' || fd == AT_FDCWD) return path;
    const char *directory = path_of(fd, buffer);
    if (!directory) return NULL;
    size_t length = strlen(directory);
    snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return buffer;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static enum what of_flags(int flags) { return flags & (O_CREAT | O_TRUNC) ? NEEDS_ROOM : NEEDS_NONE; }

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        va_list arguments;                                                            \
        va_start(arguments, flags);                                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;  \
        va_end(arguments);                                                            \
        if (verdict("open", path, of_flags(flags)) < 0) return -1;                    \
        return REAL(name)(path, flags, mode);                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                  \
    int name(int fd, const char *path, int flags, ...) {                              \
        char buffer[PATH_MAX];                                                        \
        va_list arguments;                                                            \
        va_start(arguments, flags);                                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;  \
        va_end(arguments);                                                            \
        if (verdict("open", path_at(fd, path, buffer), of_flags(flags)) < 0) return -1; \
        return REAL(name)(fd, path, flags, mode);                                     \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t count) {
    char buffer[PATH_MAX];
    int said = verdict("write", path_of(fd, buffer), NEEDS_ROOM);
    if (said < 0) return -1;
    return REAL(write)(fd, bytes, said && count > 1 ? count / 2 : count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char buffer[PATH_MAX];
    int said = verdict("write", path_of(fd, buffer), NEEDS_ROOM);
    if (said < 0) return -1;
    return REAL(writev)(fd, parts, said && count > 1 ? 1 : count);
}

#define AT_OFFSET(name, type, action, what)                                           \
    ssize_t name(int fd, type bytes, size_t count, off_t offset) {                    \
        char buffer[PATH_MAX];                                                        \
        int said = verdict(action, path_of(fd, buffer), what);                        \
        if (said < 0) return -1;                                                      \
        return REAL(name)(fd, bytes, said && count > 1 ? count / 2 : count, offset);  \
    }
AT_OFFSET(pwrite, const void *, "write", NEEDS_ROOM)
AT_OFFSET(pwrite64, const void *, "write", NEEDS_ROOM)
AT_OFFSET(pread, void *, "read", NEEDS_NONE)
AT_OFFSET(pread64, void *, "read", NEEDS_NONE)

ssize_t read(int fd, void *bytes, size_t count) {
    char buffer[PATH_MAX];
    int said = verdict("read", path_of(fd, buffer), NEEDS_NONE);
    if (said < 0) return -1;
    return REAL(read)(fd, bytes, said && count > 1 ? count / 2 : count);
}

#define ON_FILE(name, action, what)                                                   \
    int name(int fd) {                                                                \
        char buffer[PATH_MAX];                                                        \
        if (verdict(action, path_of(fd, buffer), what) < 0) return -1;                \
        return REAL(name)(fd);                                                        \
    }
ON_FILE(fsync, "sync", NEEDS_ROOM)
ON_FILE(fdatasync, "sync", NEEDS_ROOM)

#define CUT(name)                                                                     \
    int name(int fd, off_t length) {                                                  \
        char buffer[PATH_MAX];                                                        \
        if (verdict("cut", path_of(fd, buffer), NEEDS_NONE) < 0) return -1;           \
        return REAL(name)(fd, length);                                                \
    }
CUT(ftruncate)
CUT(ftruncate64)

int fchmod(int fd, mode_t mode) {
    char buffer[PATH_MAX];
    if (verdict("mode", path_of(fd, buffer), NEEDS_NONE) < 0) return -1;
    return REAL(fchmod)(fd, mode);
}

int chmod(const char *path, mode_t mode) {
    if (verdict("mode", path, NEEDS_NONE) < 0) return -1;
    return REAL(chmod)(path, mode);
}

int mkdir(const char *path, mode_t mode) {
    if (verdict("mkdir", path, NEEDS_ROOM) < 0) return -1;
    return REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
    char both[2 * PATH_MAX];
    snprintf(both, sizeof both, "%s -> %s", from, to);
    if (verdict("rename", both, NEEDS_ROOM) < 0) return -1;
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (verdict("remove", path, NEEDS_NONE) < 0) return -1;
    return REAL(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags) {
    char buffer[PATH_MAX];
    if (verdict("remove", path_at(fd, path, buffer), NEEDS_NONE) < 0) return -1;
    return REAL(unlinkat)(fd, path, flags);
}

int rmdir(const char *path) {
    if (verdict("remove", path, NEEDS_NONE) < 0) return -1;
    return REAL(rmdir)(path);
}
