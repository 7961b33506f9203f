/*
 * The 64-bit hash: four lanes that each take every fourth 8-byte word, little-endian, so that the
 * multiplications of one stripe of 32 bytes overlap; the length goes in at the end.
 */
#include "sink/sink.h"

#include <string.h>

enum { STRIPE = 32 };

static const uint64_t multiplier = 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio */

static uint64_t load(const unsigned char *p)
{
  uint64_t x;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(&x, p, sizeof x);
#else
  x = 0;
  for (int i = 7; i >= 0; i--)
    x = x << 8 | p[i];
#endif
  return x;
}

/* The shift brings the upper half, where a product is mixed best, into play for the next word. */
static uint64_t mix(uint64_t lane, uint64_t word)
{
  uint64_t product = (lane ^ word) * multiplier;

  return product ^ product >> 32;
}

static void stripe(uint64_t lane[4], const unsigned char *p)
{
  for (int i = 0; i < 4; i++)
    lane[i] = mix(lane[i], load(p + i * 8));
}

void sink_hash_start(sink_hash_t *hash)
{
  memset(hash, 0, sizeof *hash);
  for (uint64_t i = 0; i < 4; i++)
    hash->lane[i] = (i + 1) * multiplier;
}

void sink_hash_update(sink_hash_t *hash, const void *bytes, size_t len)
{
  const unsigned char *p = bytes;
  size_t held = (size_t)(hash->len % STRIPE);
  size_t room = STRIPE - held;

  hash->len += len;
  if (held > 0) {
    size_t n = len < room ? len : room;
    memcpy(hash->tail + held, p, n);
    p += n;
    len -= n;
    if (n < room)
      return;
    stripe(hash->lane, hash->tail);
  }
  for (; len >= STRIPE; p += STRIPE, len -= STRIPE)
    stripe(hash->lane, p);
  if (len > 0)
    memcpy(hash->tail, p, len);
}

uint64_t sink_hash_finish(const sink_hash_t *hash)
{
  unsigned char last[STRIPE] = {0};
  uint64_t lane[4], sum = hash->len;

  memcpy(lane, hash->lane, sizeof lane);
  memcpy(last, hash->tail, (size_t)(hash->len % STRIPE));
  stripe(lane, last);
  for (int i = 0; i < 4; i++)
    sum = mix(sum, lane[i]);
  return sum;
}

uint64_t sink_hash(const void *bytes, size_t len)
{
  sink_hash_t hash;

  sink_hash_start(&hash);
  sink_hash_update(&hash, bytes, len);
  return sink_hash_finish(&hash);
}
