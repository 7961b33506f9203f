#ifndef TEST_LIB_CHANCE_H
#define TEST_LIB_CHANCE_H

#include <stddef.h>
#include <stdint.h>

/* Numbers that look random and come again from the same seed (splitmix64). */
typedef struct chance_s {
  uint64_t state;
} chance_t;

/* The seed of a test: UVSMTP_TEST_SEED of the environment, or `usual`. It is printed. */
uint64_t chance_seed(const char *test, uint64_t usual);

chance_t chance_of(uint64_t seed);
uint64_t chance_next(chance_t *chance);
/* From 0 to `below` - 1; `below` is not 0. */
size_t chance_below(chance_t *chance, size_t below);
/* A piece of something of `len` octets: from 1 to `len`, mostly short. */
size_t chance_piece(chance_t *chance, size_t len);

#endif
