#include "chance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t chance_seed(const char *test, uint64_t usual)
{
  const char *text = getenv("UVSMTP_TEST_SEED");
  uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : usual;
  printf("# %s: UVSMTP_TEST_SEED=%" PRIu64 "\n", test, seed);
  return seed;
}

chance_t chance_of(uint64_t seed)
{
  return (chance_t){seed};
}

uint64_t chance_next(chance_t *chance)
{
  uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

size_t chance_below(chance_t *chance, size_t below)
{
  return (size_t)(chance_next(chance) % below);
}

size_t chance_piece(chance_t *chance, size_t len)
{
  size_t most = chance_below(chance, 4) == 0 ? len : 8;
  return 1 + chance_below(chance, most < len ? most : len);
}
