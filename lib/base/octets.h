#ifndef UVSMTP_BASE_OCTETS_H
#define UVSMTP_BASE_OCTETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Inline also where the compiler would not, for it is on the way of every message. */
#define UVSMTP__INLINE __attribute__((always_inline)) static inline

/*
 * Sixteen octets at a time, for lines and addresses: vectors of the compiler, which compares them
 * by whatever the machine has. Contents are scanned by wide.h.
 */
#define UVSMTP__OCTETS ((size_t)16)
typedef uint8_t uvsmtp__octets_t __attribute__((vector_size(16)));

#if defined(__SSE2__) && (!defined(UVSMTP__WIDE) || UVSMTP__WIDE > 0)
#include <emmintrin.h>
#define UVSMTP__MOVEMASK(v) ((uint32_t)_mm_movemask_epi8((__m128i)(v)))
#define UVSMTP__LARGER(a, b) ((uvsmtp__octets_t)_mm_max_epu8((__m128i)(a), (__m128i)(b)))
#define UVSMTP__SMALLER(a, b) ((uvsmtp__octets_t)_mm_min_epu8((__m128i)(a), (__m128i)(b)))
#else
#define UVSMTP__LARGER(a, b) uvsmtp__octets_choose((uvsmtp__octets_t)((a) > (b)), a, b)
#define UVSMTP__SMALLER(a, b) uvsmtp__octets_choose((uvsmtp__octets_t)((a) < (b)), a, b)
static inline uvsmtp__octets_t uvsmtp__octets_choose(uvsmtp__octets_t which, uvsmtp__octets_t a,
                                                     uvsmtp__octets_t b)
{
  return (a & which) | (b & ~which);
}
#define UVSMTP__MOVEMASK(v) uvsmtp__octets_gather(v)
/* One multiplication brings the highest bits of eight octets together. */
static inline uint32_t uvsmtp__octets_gather(uvsmtp__octets_t v)
{
  uint64_t half[2];
  memcpy(half, &v, sizeof(half));
  for (int i = 0; i < 2; i++) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    half[i] = __builtin_bswap64(half[i]);
#endif
    half[i] = ((half[i] & UINT64_C(0x8080808080808080)) * UINT64_C(0x0002040810204081)) >> 56;
  }
  return (uint32_t)(half[0] | half[1] << 8);
}
#endif

static inline uvsmtp__octets_t uvsmtp__octets_load(const char *s)
{
  uvsmtp__octets_t v;
  memcpy(&v, s, sizeof(v));
  return v;
}

/* Octets that are all of `bits` or none, as a comparison gives them: a bit each, the first lowest.
 */
static inline uint32_t uvsmtp__octets_mask(uvsmtp__octets_t v)
{
  return UVSMTP__MOVEMASK(v);
}

/* The larger one of each two, and the smaller one. */
static inline uvsmtp__octets_t uvsmtp__octets_larger(uvsmtp__octets_t a, uvsmtp__octets_t b)
{
  return UVSMTP__LARGER(a, b);
}
static inline uvsmtp__octets_t uvsmtp__octets_smaller(uvsmtp__octets_t a, uvsmtp__octets_t b)
{
  return UVSMTP__SMALLER(a, b);
}

static inline uvsmtp__octets_t uvsmtp__octets_equal(uvsmtp__octets_t v, char octet)
{
  return (uvsmtp__octets_t)(v == (uint8_t)octet);
}

/* Those within the `count` octets from `first` on. */
static inline uvsmtp__octets_t uvsmtp__octets_within(uvsmtp__octets_t v, char first, uint8_t count)
{
  return (uvsmtp__octets_t)(v - (uint8_t)first < count);
}

/* The place of the first `octet`, or how many there are. */
static inline size_t uvsmtp__octets_place(uvsmtp__octets_t v, char octet)
{
  uint32_t found = uvsmtp__octets_mask(uvsmtp__octets_equal(v, octet));
  return found != 0 ? (size_t)__builtin_ctz(found) : UVSMTP__OCTETS;
}

/* The place of the first `octet` among the `len` at `s`, or `len`. */
static inline size_t uvsmtp__octets_find(const char *s, size_t len, char octet)
{
  size_t at = 0, place;
  for (; at + UVSMTP__OCTETS <= len; at += UVSMTP__OCTETS)
    if ((place = uvsmtp__octets_place(uvsmtp__octets_load(s + at), octet)) < UVSMTP__OCTETS)
      return at + place;
  if (at > 0) /* the last ones once more, and those behind them */
    return len - UVSMTP__OCTETS +
           uvsmtp__octets_place(uvsmtp__octets_load(s + len - UVSMTP__OCTETS), octet);
  if (len >= UVSMTP__OCTETS / 2) { /* its first and its last ones, which may be the same */
    uvsmtp__octets_t v;
    memcpy(&v, s, sizeof(v) / 2);
    memcpy((char *)&v + sizeof(v) / 2, s + len - sizeof(v) / 2, sizeof(v) / 2);
    place = uvsmtp__octets_place(v, octet);
    return place < sizeof(v) / 2 ? place : len - sizeof(v) + place;
  }
  while (at < len && s[at] != octet)
    at++;
  return at;
}

/* Are the `len` octets at `a` those at `b`? */
UVSMTP__INLINE bool uvsmtp__octets_same(const char *a, const char *b, size_t len)
{
  size_t last = len - UVSMTP__OCTETS;
  uvsmtp__octets_t same;
  if (len < UVSMTP__OCTETS)
    return memcmp(a, b, len) == 0;
  same = (uvsmtp__octets_t)(uvsmtp__octets_load(a) == uvsmtp__octets_load(b));
  for (size_t i = UVSMTP__OCTETS; i < last; i += UVSMTP__OCTETS)
    same &= (uvsmtp__octets_t)(uvsmtp__octets_load(a + i) == uvsmtp__octets_load(b + i));
  same &= (uvsmtp__octets_t)(uvsmtp__octets_load(a + last) == uvsmtp__octets_load(b + last));
  return uvsmtp__octets_mask(same) == 0xffff;
}

#endif
