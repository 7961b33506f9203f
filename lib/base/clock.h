#ifndef UVSMTP_BASE_CLOCK_H
#define UVSMTP_BASE_CLOCK_H

#include <stdint.h>

/* When `ms` have passed since `from`; UINT64_MAX is never, and so is what lies behind it. */
static inline uint64_t uvsmtp__later(uint64_t from, uint64_t ms)
{
  return ms > UINT64_MAX - from ? UINT64_MAX : from + ms;
}

#endif
