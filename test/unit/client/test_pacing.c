#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/pacing.h"

/* Token buckets: each row is a taking, as soon as it may be. */
typedef struct row_s {
  uint64_t cost, wish_ms, at_ms;
} row_t;

typedef struct case_s {
  const char *name;
  uvsmtp_rate_t rate;
  row_t rows[8];
  size_t count;
} case_t;

static void tokens_are_had_when_the_rate_gives_them(void **state)
{
  static const case_t cases[] = {
      {"no limit", {0}, {{1, 0, 0}, {1000, 0, 0}}, 2},
      {"14 a second, evenly", {14, 0, 0}, {{1, 0, 0}, {1, 0, 72}, {1, 0, 143}, {1, 0, 215}}, 4},
      {"300 a minute, 3 at once",
       {300, 60000, 3},
       {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 200}, {1, 0, 400}},
       5},
      {"a quiet time fills it again, and no more than that",
       {10, 1000, 2},
       {{1, 0, 0}, {1, 0, 0}, {1, 5000, 5000}, {1, 5000, 5000}, {1, 5000, 5099}},
       5},
      {"parts of a token are not lost",
       {3, 1000, 1},
       {{1, 0, 0}, {1, 0, 334}, {1, 0, 667}, {1, 0, 1000}, {1, 0, 1334}},
       5},
      {"several in a millisecond",
       {2500, 1000, 1},
       {{1, 0, 0}, {1, 0, 1}, {1, 0, 1}, {1, 0, 2}, {1, 0, 2}, {1, 0, 2}, {1, 0, 3}, {1, 0, 3}},
       8},
      {"more than the burst: all of it, and a debt",
       {10, 1000, 5},
       {{8, 0, 0}, {1, 0, 400}, {8, 0, 900}, {5, 0, 1700}},
       4},
      {"the largest numbers",
       {1000000000, 1000000000, 1000000000},
       {{1000000000, 0, 0}, {1, 0, 1}},
       2},
      {"one in eleven days", {1, 1000000000, 1}, {{1, 0, 0}, {1, 0, 1000000000}}, 2}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    const case_t *c = &cases[i];
    uvsmtp__bucket_t bucket;
    uint64_t now = 0;
    uvsmtp__bucket_init(&bucket, &c->rate, now);
    for (size_t k = 0; k < c->count; k++) {
      if (c->rows[k].wish_ms > now)
        now = c->rows[k].wish_ms;
      uint64_t at = uvsmtp__bucket_ready(&bucket, c->rows[k].cost, now);
      if (at != c->rows[k].at_ms)
        fail_msg("%s, row %zu: %d instead of %d", c->name, k, (int)at, (int)c->rows[k].at_ms);
      assert_int_equal(uvsmtp__bucket_ready(&bucket, c->rows[k].cost, at), at);
      now = at;
      uvsmtp__bucket_take(&bucket, c->rows[k].cost, now);
    }
  }
}

#define TAKINGS 400

/* In no span of time is there more than the burst and what came in it. */
static void the_bound_holds_in_every_span_of_time(void **state)
{
  for (unsigned seed = 1; seed <= 60; seed++) {
    static uint64_t at[TAKINGS], cost[TAKINGS];
    uvsmtp__bucket_t bucket;
    uint64_t now = 1000;
    srand(seed);
    uvsmtp_rate_t rate = {.count = 1 + (uint64_t)rand() % 50,
                          .per_ms = 1 + (uint64_t)rand() % 2000,
                          .burst = 1 + (uint64_t)rand() % 20};
    uvsmtp__bucket_init(&bucket, &rate, now);
    for (size_t i = 0; i < TAKINGS; i++) {
      now += rand() % 3 == 0 ? (uint64_t)rand() % 500 : 0;
      cost[i] = 1 + (uint64_t)rand() % rate.burst;
      now = at[i] = uvsmtp__bucket_ready(&bucket, cost[i], now);
      uvsmtp__bucket_take(&bucket, cost[i], now);
    }
    for (size_t i = 0; i < TAKINGS; i++) {
      uint64_t sum = 0;
      for (size_t k = i; k < TAKINGS; k++) {
        sum += cost[k];
        if (sum * rate.per_ms > rate.burst * rate.per_ms + (at[k] - at[i] + 1) * rate.count)
          fail_msg("seed %u: %d tokens in %d ms", seed, (int)sum, (int)(at[k] - at[i]));
      }
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(tokens_are_had_when_the_rate_gives_them),
                                     cmocka_unit_test(the_bound_holds_in_every_span_of_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
