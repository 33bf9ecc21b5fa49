/* Loaded before the C library (LD_PRELOAD): ends the whole process group in the n-th call of a kind
   on files under a folder. kills.py builds it, and sets the variables that it reads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int left = -1;

static int is(const char *name, const char *value) {
  const char *found = getenv(name);
  return found && !strcmp(found, value);
}

static int ours(const char *path) {
  const char *under = getenv("KILL_UNDER");
  return under && path && !strncmp(path, under, strlen(under)) && !strstr(path, "/.lock");
}

static int ours_open(int handle) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return ours(path);
}

static int now(const char *call) {
  if (!is("KILL_CALL", call)) return 0;
  if (left < 0) left = atoi(getenv("KILL_AT"));
  return left-- == 0;
}

static void die(void) {
  kill(0, SIGKILL);
  for (;;) pause();
}

#define AROUND(call, mine, result, real)        \
  int chosen = (mine) && now(call);             \
  if (chosen && is("KILL_WHEN", "before")) die(); \
  result = real;                                \
  if (chosen) die();

static int opened(const char *name, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, mode_t) = dlsym(RTLD_NEXT, name);
  int handle;
  AROUND("open", (flags & O_CREAT) && ours(path), handle, real(path, flags, mode))
  return handle;
}

#define MODE va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest);
int open(const char *path, int flags, ...) { MODE return opened("open", path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened("open64", path, flags, mode); }

ssize_t write(int handle, const void *data, size_t size) {
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  ssize_t done;
  int chosen = is("KILL_CALL", "write") && ours_open(handle) && now("write");
  if (chosen && is("KILL_WHEN", "before")) die();
  done = real(handle, data, chosen && is("KILL_WHEN", "half") ? size / 2 : size);
  if (chosen) die();
  return done;
}

int fsync(int handle) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fsync"), result;
  AROUND("fsync", is("KILL_CALL", "fsync") && ours_open(handle), result, real(handle))
  return result;
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename"), result;
  AROUND("rename", ours(to), result, real(from, to))
  return result;
}

int mkdir(const char *path, mode_t mode) {
  int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir"), result;
  AROUND("mkdir", ours(path), result, real(path, mode))
  return result;
}

int unlink(const char *path) {
  int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink"), result;
  AROUND("unlink", ours(path), result, real(path))
  return result;
}

int unlinkat(int folder, const char *path, int flags) {
  int (*real)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat"), result;
  AROUND("unlink", is("KILL_CALL", "unlink") && (ours(path) || ours_open(folder)), result,
         real(folder, path, flags))
  return result;
}
