/*
 * Each octet is compared together with the one before it, many at a time: a LF has to have a CR
 * before it, what follows a CR has to be a LF, and for DATA a dot must not follow a LF. Only how
 * wide a step is and how it compares depends on the machine.
 */
#include "base/wide.h"

#include <stdint.h>
#include <string.h>

/* How wide it may be, for tests: 0 words, 1 what every machine of the kind has, 2 all there is. */
#ifndef UVSMTP__WIDE
#define UVSMTP__WIDE 2
#endif

/*
 * Makes a function that finds the first octet that must not stand behind the one before it, else
 * `len`. It is made of: EQUAL, all bits of the octets that are equal; OR, AND, XOR; MAX, which
 * keeps what is above 127; ANY, whether a bit is set; FIRST, the place of the first octet with a
 * bit, or the width; HIGH, whether an octet is above 127.
 *
 * As long as all is well, eight steps are one block, and the last block overlaps the one before it.
 * A block looks for a dot behind each LF, so that the LFs are compared once; so it also reads the
 * octet behind it.
 */
#define DEFINE_SCAN(name, attribute, vector, LOAD, EQUAL, AND, OR, XOR, MAX, ANY, FIRST, HIGH)     \
  attribute static inline vector name##_step(const char *s, bool dots)                             \
  {                                                                                                \
    vector here = LOAD(s), before = LOAD(s - 1);                                                   \
    vector stop = XOR(EQUAL(here, '\n'), EQUAL(before, '\r'));                                     \
    return dots ? OR(stop, AND(EQUAL(here, '.'), EQUAL(before, '\n'))) : stop;                     \
  }                                                                                                \
                                                                                                   \
  attribute static __attribute__((noinline))                                                       \
  size_t name##_few(const char *s, size_t len, bool dots, bool *high)                              \
  {                                                                                                \
    char copy[2 * sizeof(vector)] = {0};                                                           \
    size_t found;                                                                                  \
    memcpy(copy + 1, s, len);                                                                      \
    found = FIRST(name##_step(copy + 1, dots));                                                    \
    *high |= HIGH(LOAD(copy + 1));                                                                 \
    return found < len ? found : len;                                                              \
  }                                                                                                \
                                                                                                   \
  attribute static inline vector name##_ahead(const char *s, bool dots)                            \
  {                                                                                                \
    vector lf = EQUAL(LOAD(s), '\n'), stop = XOR(lf, EQUAL(LOAD(s - 1), '\r'));                    \
    return dots ? OR(stop, AND(lf, EQUAL(LOAD(s + 1), '.'))) : stop;                               \
  }                                                                                                \
                                                                                                   \
  attribute static inline vector name##_four(const char *s, bool dots, vector *seen)               \
  {                                                                                                \
    const char *a = s, *b = a + sizeof(vector), *c = b + sizeof(vector), *d = c + sizeof(vector);  \
    *seen = MAX(MAX(MAX(MAX(*seen, LOAD(a)), LOAD(b)), LOAD(c)), LOAD(d));                         \
    return OR(OR(name##_ahead(a, dots), name##_ahead(b, dots)),                                    \
              OR(name##_ahead(c, dots), name##_ahead(d, dots)));                                   \
  }                                                                                                \
                                                                                                   \
  /* How much of it, from the second octet on, is well by whole blocks. */                         \
  attribute static inline size_t name##_blocks(const char *s, size_t len, bool dots, vector *seen) \
  {                                                                                                \
    const size_t half = 4 * sizeof(vector);                                                        \
    const char *at = s + 1, *end = s + len - (dots ? 1 : 0), *last;                                \
    if (len < 2 * half + 2)                                                                        \
      return 1;                                                                                    \
    last = end - 2 * half;                                                                         \
    for (;;) {                                                                                     \
      vector stop = name##_four(at, dots, seen);                                                   \
      if (ANY(OR(stop, name##_four(at + half, dots, seen))))                                       \
        return (size_t)(at - s);                                                                   \
      if (at == last)                                                                              \
        return (size_t)(end - s);                                                                  \
      at = at + 2 * half < last ? at + 2 * half : last;                                            \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  attribute static inline size_t name(const char *s, size_t len, bool dots, bool *high)            \
  {                                                                                                \
    const size_t width = sizeof(vector);                                                           \
    size_t at, found;                                                                              \
    vector seen;                                                                                   \
    if (len <= width)                                                                              \
      return name##_few(s, len, dots, high);                                                       \
    if (s[0] == '\n')                                                                              \
      return 0;                                                                                    \
    seen = LOAD(s);                                                                                \
    at = name##_blocks(s, len, dots, &seen);                                                       \
    for (found = width; found == width && at < len; at += width) {                                 \
      at = at + width <= len ? at : len - width;                                                   \
      found = FIRST(name##_step(s + at, dots));                                                    \
      seen = MAX(seen, LOAD(s + at));                                                              \
    }                                                                                              \
    *high |= HIGH(seen);                                                                           \
    return found < width ? at - width + found : len;                                               \
  }

/* From the octet that was found to the one that stops: a bare CR stands before it, or at the end.
 */
static size_t stop_at(const char *s, size_t found)
{
  return found > 0 && s[found - 1] == '\r' ? found - 1 : found;
}

#if defined(__x86_64__) && UVSMTP__WIDE > 0
#include <immintrin.h>

static inline size_t first_bit(uint32_t bits, size_t none)
{
  return bits != 0 ? (size_t)__builtin_ctz(bits) : none;
}

#define LOAD_16(s) _mm_loadu_si128((const __m128i *)(const void *)(s))
#define EQUAL_16(v, octet) _mm_cmpeq_epi8(v, _mm_set1_epi8(octet))
#define FIRST_16(v) first_bit((uint32_t)_mm_movemask_epi8(v), 16)
#define HIGH_16(v) (_mm_movemask_epi8(v) != 0)
DEFINE_SCAN(scan_sse2, , __m128i, LOAD_16, EQUAL_16, _mm_and_si128, _mm_or_si128, _mm_xor_si128,
            _mm_max_epu8, HIGH_16, FIRST_16, HIGH_16)

#define LOAD_32(s) _mm256_loadu_si256((const __m256i *)(const void *)(s))
#define EQUAL_32(v, octet) _mm256_cmpeq_epi8(v, _mm256_set1_epi8(octet))
#define FIRST_32(v) first_bit((uint32_t)_mm256_movemask_epi8(v), 32)
#define HIGH_32(v) (_mm256_movemask_epi8(v) != 0)
DEFINE_SCAN(scan_avx2, __attribute__((target("avx2"))), __m256i, LOAD_32, EQUAL_32,
            _mm256_and_si256, _mm256_or_si256, _mm256_xor_si256, _mm256_max_epu8, HIGH_32, FIRST_32,
            HIGH_32)

/*
 * Most contents are plain: octets from 11 to 127, and CRLFs. Four operations a step tell. A plain
 * octet becomes 127 by saturation, a LF one less, any other less still; what follows a CR gets one
 * more, which turns 127 into -128. So all is well where the least of them is 127, and what is not
 * plain is looked at as above. For DATA the lowest bit of `dotted` tells of a dot behind a LF.
 */
#define AVX2 __attribute__((target("avx2"))) static
#define INLINE_AVX2 __attribute__((always_inline)) AVX2 inline
typedef struct {
  __m256i least, dotted;
} plain_t;

INLINE_AVX2 void plain_step(plain_t *plain, const char *s, bool dots)
{
  __m256i octets = _mm256_adds_epi8(LOAD_32(s), _mm256_set1_epi8(127 - 11));
  __m256i behind_cr = EQUAL_32(LOAD_32(s - 1), '\r');
  plain->least = _mm256_min_epi8(plain->least, _mm256_sub_epi8(octets, behind_cr));
  if (dots)
    plain->dotted =
        _mm256_or_si256(plain->dotted, _mm256_andnot_si256(octets, EQUAL_32(LOAD_32(s + 1), '.')));
}

INLINE_AVX2 bool is_plain(const plain_t *plain)
{
  __m256i well = EQUAL_32(plain->least, 127);
  return _mm256_movemask_epi8(_mm256_andnot_si256(_mm256_slli_epi16(plain->dotted, 7), well)) == -1;
}

#define PLAIN_BLOCK 16 /* steps between two looks at what was found */

INLINE_AVX2 bool is_plain_block(const char *s, bool dots)
{
  plain_t plain = {_mm256_set1_epi8(127), _mm256_setzero_si256()};
#pragma GCC unroll 16
  for (int i = 0; i < PLAIN_BLOCK; i++)
    plain_step(&plain, s + 32 * i, dots);
  return is_plain(&plain);
}

/* How much of it, from its first octet on, is plain by whole blocks, the last of which may overlap
 * the one before it. With `dots` an octet behind them is read as well. */
INLINE_AVX2 size_t plain_blocks(const char *s, size_t len, bool dots)
{
  const size_t block = 32 * PLAIN_BLOCK;
  const char *at = s + 1, *last;
  if (len < block + 2 || (signed char)s[0] < 11)
    return 0;
  last = s + len - block - (dots ? 1 : 0);
  while (is_plain_block(at, dots)) {
    if (at == last)
      return (size_t)(last - s) + block;
    at = at + block < last ? at + block : last;
  }
  return (size_t)(at - s);
}

/* The rest is looked at from an octet on that is known to be no bare LF. */
AVX2 __attribute__((noinline)) size_t look_on(const char *s, size_t len, size_t at, bool dots,
                                              bool *high)
{
  if (at > 0)
    at -= s[at - 1] == '\n' ? 2 : 1;
  return stop_at(s, at + (dots ? scan_avx2(s + at, len - at, true, high)
                               : scan_avx2(s + at, len - at, false, high)));
}

AVX2 size_t lines_avx2(const char *s, size_t len, bool *high)
{
  size_t at = plain_blocks(s, len, false);
  return at > 0 && at == len ? stop_at(s, len) : look_on(s, len, at, false, high);
}

AVX2 size_t data_avx2(const char *s, size_t len, bool *high)
{
  size_t at = plain_blocks(s, len, true);
  return at > 0 && at + 1 == len && s[at] == '\n' && s[at - 1] == '\r'
             ? len
             : look_on(s, len, at, true, high);
}

size_t uvsmtp__clean_lines(const char *s, size_t len, bool *high)
{
  return UVSMTP__WIDE > 1 && __builtin_cpu_supports("avx2")
             ? lines_avx2(s, len, high)
             : stop_at(s, scan_sse2(s, len, false, high));
}

size_t uvsmtp__clean_data(const char *s, size_t len, bool *high)
{
  return UVSMTP__WIDE > 1 && __builtin_cpu_supports("avx2")
             ? data_avx2(s, len, high)
             : stop_at(s, scan_sse2(s, len, true, high));
}

#else
#if defined(__aarch64__) && UVSMTP__WIDE > 0
#include <arm_neon.h>

/* Four bits for each octet, in their order. */
static inline size_t neon_first(uint8x16_t v)
{
  uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(v), 4);
  uint64_t bits = vget_lane_u64(vreinterpret_u64_u8(nibbles), 0);
  return bits != 0 ? (size_t)__builtin_ctzll(bits) / 4 : 16;
}

#define LOAD_16(s) vld1q_u8((const uint8_t *)(s))
#define EQUAL_16(v, octet) vceqq_u8(v, vdupq_n_u8((uint8_t)(octet)))
#define HIGH_16(v) (vmaxvq_u8(v) > 127)
DEFINE_SCAN(scan, , uint8x16_t, LOAD_16, EQUAL_16, vandq_u8, vorrq_u8, veorq_u8, vmaxq_u8, HIGH_16,
            neon_first, HIGH_16)

#else

#define EACH(octet) (UINT64_C(0x0101010101010101) * (uint8_t)(octet))

/* The first octet in the lowest place, whatever the order of the machine. */
static inline uint64_t load_word(const char *s)
{
  uint64_t word = 0;
  for (int i = 0; i < 8; i++)
    word |= (uint64_t)(uint8_t)s[i] << (8 * i);
  return word;
}

/* The highest bit of the octets that are equal. */
static inline uint64_t equal_word(uint64_t word, char octet)
{
  uint64_t differs = word ^ EACH(octet);
  return ~((differs & EACH(0x7f)) + EACH(0x7f)) & ~differs & EACH(0x80);
}

static inline size_t first_word(uint64_t word)
{
  return word != 0 ? (size_t)__builtin_ctzll(word) / 8 : 8;
}

#define AND_WORD(a, b) ((a) & (b))
#define OR_WORD(a, b) ((a) | (b))
#define XOR_WORD(a, b) ((a) ^ (b))
#define HIGH_WORD(v) (((v)&EACH(0x80)) != 0)
DEFINE_SCAN(scan, , uint64_t, load_word, equal_word, AND_WORD, OR_WORD, XOR_WORD, OR_WORD,
            HIGH_WORD, first_word, HIGH_WORD)

#endif

size_t uvsmtp__clean_lines(const char *s, size_t len, bool *high)
{
  return stop_at(s, scan(s, len, false, high));
}

size_t uvsmtp__clean_data(const char *s, size_t len, bool *high)
{
  return stop_at(s, scan(s, len, true, high));
}

#endif
