/*
 * Preloaded into a program (LD_PRELOAD), counts what it asks of the C library: memory, and the
 * system calls that move bytes or wait for them. At the end a line of JSON goes to the file that
 * UVSMTP_BENCH_COUNT names.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);

static uint64_t allocations, transfers, waits;

void *malloc(size_t size)
{
  allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
  allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
  allocations++;
  return __libc_realloc(p, size);
}

/* Defines `name` so that it adds to `counter` and goes on to the real one. */
#define COUNT(counter, type, name, parameters, ...)                                                \
  type name parameters                                                                             \
  {                                                                                                \
    static type(*real) parameters;                                                                 \
    if (real == NULL)                                                                              \
      real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                          \
    counter++;                                                                                     \
    return real(__VA_ARGS__);                                                                      \
  }

COUNT(transfers, ssize_t, read, (int fd, void *to, size_t len), fd, to, len)
COUNT(transfers, ssize_t, readv, (int fd, const struct iovec *to, int n), fd, to, n)
COUNT(transfers, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), fd, message, flags)
COUNT(transfers, ssize_t, write, (int fd, const void *from, size_t len), fd, from, len)
COUNT(transfers, ssize_t, writev, (int fd, const struct iovec *from, int n), fd, from, n)
COUNT(transfers, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), fd, message,
      flags)
COUNT(waits, int, epoll_wait, (int fd, struct epoll_event *events, int n, int ms), fd, events, n,
      ms)
COUNT(waits, int, epoll_pwait,
      (int fd, struct epoll_event *events, int n, int ms, const sigset_t *mask), fd, events, n, ms,
      mask)
COUNT(waits, int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), fd, what, of,
      event)

__attribute__((destructor)) static void report(void)
{
  const char *name = getenv("UVSMTP_BENCH_COUNT");
  FILE *file = name != NULL ? fopen(name, "w") : NULL;
  if (file == NULL)
    return;
  fprintf(file, "{\"allocations\": %llu, \"transfers\": %llu, \"waits\": %llu}\n",
          (unsigned long long)allocations, (unsigned long long)transfers,
          (unsigned long long)waits);
  fclose(file);
}
