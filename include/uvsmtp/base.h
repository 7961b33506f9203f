#ifndef UVSMTP_BASE_H
#define UVSMTP_BASE_H

/*
 * What all other headers of uvsmtp need: visibility, allocation, slices of bytes, versions.
 */
#include <stddef.h>
#include <stdint.h>

#include "uvsmtp/errors.h"
#include "uvsmtp/version.h"

/* What an options struct begins as: its size, and zero for the rest. C++ has no such initializer
 * before C++20, and warns of the fields that it leaves out. */
#ifdef __cplusplus
extern "C++" {
template <typename T> inline T uvsmtp__sized()
{
  T options = T();
  options.size = sizeof(T);
  return options;
}
}
#define UVSMTP__SIZED(type) uvsmtp__sized<type>()
extern "C" {
#else
#define UVSMTP__SIZED(type) {.size = sizeof(type)}
#endif

/** The version of the library that is linked, as UVSMTP_VERSION_HEX. Any thread. Since 0.1 */
UVSMTP_EXTERN unsigned uvsmtp_version(void);

/** The version of the library that is linked, as text. Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_version_string(void);

/**
 * Bytes that belong to somebody else. Each function that takes or gives one says until when the
 * bytes stay in place.
 */
typedef struct uvsmtp_slice_s {
  const char *base;
  size_t len;
} uvsmtp_slice_t;

/** A slice over a C string; `s` must not be NULL. Since 0.1 */
UVSMTP_EXTERN uvsmtp_slice_t uvsmtp_slice(const char *s);

/**
 * An allocator. The functions behave like those of the C library with `ctx` as an argument more;
 * `free` is given NULL too. An object copies the struct when it is made; `ctx` must outlive it.
 * Wherever an options struct takes a pointer to one, NULL means malloc and free.   Since 0.1
 */
typedef struct uvsmtp_mem_s {
  void *ctx;
  void *(*malloc)(void *ctx, size_t size);
  void *(*realloc)(void *ctx, void *p, size_t size);
  void (*free)(void *ctx, void *p);
} uvsmtp_mem_t;

#ifdef __cplusplus
}
#endif
#endif
