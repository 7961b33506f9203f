/*
 * A content is looked at in blocks of 64 octets. A block becomes four words of 64 bits, one bit for
 * each octet (`marks_t`); whether a CR is followed by its LF is then a shift and a comparison for
 * all 64 at a time. Only how the words are made depends on the machine. Behind the last octet the
 * block holds zeros, so that a CR at the end is one without LF.
 */
#include "base/wide.h"

#include <stdint.h>
#include <string.h>

/* How wide it may be, for tests: 0 words, 1 what every machine of the kind has, 2 all there is. */
#ifndef UVSMTP__WIDE
#define UVSMTP__WIDE 2
#endif

#define BLOCK 64

typedef struct {
  uint64_t lf, cr, dot, high;
} marks_t;

/*
 * Makes a function that finds the first stop, with the one that marks a block. `dots`: a dot behind
 * a LF stops. Where a CR is bare, it is the octet behind it that is found.
 */
#define DEFINE_SCAN(name, attribute, mark)                                                         \
  attribute static inline size_t name(const char *s, size_t len, bool dots, bool *high)            \
  {                                                                                                \
    uint64_t after_cr = 0, after_lf = 0, seen = 0, stops;                                          \
    char last[BLOCK];                                                                              \
    size_t at = 0;                                                                                 \
    marks_t m;                                                                                     \
    do {                                                                                           \
      const char *block = s + at;                                                                  \
      if (len - at < BLOCK) {                                                                      \
        memset(last, 0, sizeof(last));                                                             \
        memcpy(last, block, len - at);                                                             \
        block = last;                                                                              \
      }                                                                                            \
      m = mark(block);                                                                             \
      stops = m.lf ^ (m.cr << 1 | after_cr);                                                       \
      if (dots)                                                                                    \
        stops |= m.dot & (m.lf << 1 | after_lf);                                                   \
      seen |= m.high;                                                                              \
      after_cr = m.cr >> 63;                                                                       \
      after_lf = m.lf >> 63;                                                                       \
      at += BLOCK;                                                                                 \
    } while (stops == 0 && at <= len);                                                             \
    if (high != NULL)                                                                              \
      *high |= seen != 0;                                                                          \
    return stops == 0 ? len : at - BLOCK + (size_t)__builtin_ctzll(stops);                         \
  }

#if defined(__x86_64__) && UVSMTP__WIDE > 0
#include <immintrin.h>

static inline uint64_t sse2_bits(__m128i a, __m128i b, __m128i c, __m128i d)
{
  return (uint64_t)(uint32_t)_mm_movemask_epi8(a) | (uint64_t)(uint32_t)_mm_movemask_epi8(b) << 16 |
         (uint64_t)(uint32_t)_mm_movemask_epi8(c) << 32 |
         (uint64_t)(uint32_t)_mm_movemask_epi8(d) << 48;
}

static inline uint64_t sse2_equal(const __m128i v[4], char octet)
{
  __m128i all = _mm_set1_epi8(octet);
  return sse2_bits(_mm_cmpeq_epi8(v[0], all), _mm_cmpeq_epi8(v[1], all), _mm_cmpeq_epi8(v[2], all),
                   _mm_cmpeq_epi8(v[3], all));
}

static inline marks_t sse2_marks(const char *s)
{
  __m128i v[4];
  for (int i = 0; i < 4; i++)
    v[i] = _mm_loadu_si128((const __m128i *)(const void *)(s + 16 * i));
  return (marks_t){sse2_equal(v, '\n'), sse2_equal(v, '\r'), sse2_equal(v, '.'),
                   sse2_bits(v[0], v[1], v[2], v[3])};
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint64_t avx2_bits(__m256i a, __m256i b)
{
  return (uint64_t)(uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b)
                                                           << 32;
}

AVX2 static inline uint64_t avx2_equal(__m256i a, __m256i b, char octet)
{
  __m256i all = _mm256_set1_epi8(octet);
  return avx2_bits(_mm256_cmpeq_epi8(a, all), _mm256_cmpeq_epi8(b, all));
}

AVX2 static inline marks_t avx2_marks(const char *s)
{
  __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)s);
  __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(s + 32));
  return (marks_t){avx2_equal(a, b, '\n'), avx2_equal(a, b, '\r'), avx2_equal(a, b, '.'),
                   avx2_bits(a, b)};
}

DEFINE_SCAN(scan_sse2, , sse2_marks)
DEFINE_SCAN(scan_avx2, AVX2, avx2_marks)

static inline size_t scan(const char *s, size_t len, bool dots, bool *high)
{
  return UVSMTP__WIDE > 1 && __builtin_cpu_supports("avx2") ? scan_avx2(s, len, dots, high)
                                                            : scan_sse2(s, len, dots, high);
}

#elif defined(__aarch64__) && UVSMTP__WIDE > 0
#include <arm_neon.h>

/* One bit of each octet, the first octet's in the lowest place. */
static inline uint64_t neon_bits(const uint8x16_t v[4])
{
  const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint8x16_t ab = vpaddq_u8(vandq_u8(v[0], weights), vandq_u8(v[1], weights));
  uint8x16_t cd = vpaddq_u8(vandq_u8(v[2], weights), vandq_u8(v[3], weights));
  uint8x16_t sum = vpaddq_u8(ab, cd);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static inline uint64_t neon_equal(const uint8x16_t v[4], char octet)
{
  uint8x16_t all = vdupq_n_u8((uint8_t)octet), equal[4];
  for (int i = 0; i < 4; i++)
    equal[i] = vceqq_u8(v[i], all);
  return neon_bits(equal);
}

static inline marks_t neon_marks(const char *s)
{
  uint8x16_t v[4], high[4];
  for (int i = 0; i < 4; i++) {
    v[i] = vld1q_u8((const uint8_t *)s + 16 * i);
    high[i] = vcltzq_s8(vreinterpretq_s8_u8(v[i]));
  }
  return (marks_t){neon_equal(v, '\n'), neon_equal(v, '\r'), neon_equal(v, '.'), neon_bits(high)};
}

DEFINE_SCAN(scan, , neon_marks)

#else

#define EACH(octet) (UINT64_C(0x0101010101010101) * (uint8_t)(octet))

/* The highest bit of each octet, gathered in the lowest eight. */
static inline uint64_t word_bits(uint64_t word)
{
  return ((word >> 7 & EACH(1)) * UINT64_C(0x0102040810204080)) >> 56;
}

static inline uint64_t word_equal(uint64_t word, char octet)
{
  uint64_t differs = word ^ EACH(octet);
  return word_bits(~((differs & EACH(0x7f)) + EACH(0x7f)) & ~differs);
}

static inline uint64_t load_word(const char *s)
{
  uint64_t word = 0;
  for (int i = 0; i < 8; i++)
    word |= (uint64_t)(uint8_t)s[i] << (8 * i);
  return word;
}

static inline marks_t word_marks(const char *s)
{
  marks_t m = {0, 0, 0, 0};
  for (int at = 0; at < BLOCK; at += 8) {
    uint64_t word = load_word(s + at);
    m.lf |= word_equal(word, '\n') << at;
    m.cr |= word_equal(word, '\r') << at;
    m.dot |= word_equal(word, '.') << at;
    m.high |= word_bits(word) << at;
  }
  return m;
}

DEFINE_SCAN(scan, , word_marks)

#endif

/* From the place that was found to the octet that stops. */
static inline size_t stop_at(const char *s, size_t found)
{
  return found > 0 && s[found - 1] == '\r' ? found - 1 : found;
}

size_t uvsmtp__clean_lines(const char *s, size_t len, bool *high)
{
  return stop_at(s, scan(s, len, false, high));
}

size_t uvsmtp__clean_data(const char *s, size_t len)
{
  return stop_at(s, scan(s, len, true, NULL));
}
