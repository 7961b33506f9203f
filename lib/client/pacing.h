#ifndef UVSMTP_CLIENT_PACING_H
#define UVSMTP_CLIENT_PACING_H

#include "uvsmtp/client.h"

/*
 * A token bucket in whole numbers: it holds up to `burst` tokens and gains `count` of them in
 * `per_ms` milliseconds. A token is counted as `per_ms` parts, so that nothing is ever rounded. No
 * clock: whoever asks says what time it is.
 */
typedef struct uvsmtp__bucket_s {
  uint64_t count; /* parts that come each millisecond; 0: no limit */
  uint64_t per_ms, burst;
  int64_t level; /* parts that there were at `at_ms`; below 0: a debt */
  uint64_t at_ms;
} uvsmtp__bucket_t;

/* What a number of a rate may be at most, so that products of two of them fit. */
#define UVSMTP__RATE_MAX 1000000000u

/* Begins full. */
void uvsmtp__bucket_init(uvsmtp__bucket_t *bucket, const uvsmtp_rate_t *rate, uint64_t now);
/* From when on `cost` tokens may be taken: `now`, or later. More than `burst` need all of it. */
uint64_t uvsmtp__bucket_ready(const uvsmtp__bucket_t *bucket, uint64_t cost, uint64_t now);
/* Takes them, which leaves a debt if they are more than there are. */
void uvsmtp__bucket_take(uvsmtp__bucket_t *bucket, uint64_t cost, uint64_t now);

#endif
