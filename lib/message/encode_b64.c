#include "message/encode.h"

#include <string.h>

#include "base/base64.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define USE_SSSE3 1
#include <tmmintrin.h>
#else
#define USE_SSSE3 0
#endif

#define LINE_IN UVSMTP__B64_LINE_IN
#define LINE_OUT UVSMTP__B64_LINE_OUT

#if USE_SSSE3
/*
 * Twelve bytes become sixteen characters at once. Each 32-bit lane gets three bytes as b a c b, so
 * that every six bits can be shifted to the bottom of a byte by a multiplication; then the class of
 * each value (A-Z, a-z, 0-9, +, /) picks from a table what has to be added to make it ASCII.
 */
__attribute__((target("ssse3"))) static inline __m128i encode_12(__m128i bytes)
{
  const __m128i offsets =
      _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                    '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
  __m128i high =
      _mm_mulhi_epu16(_mm_and_si128(bytes, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
  __m128i low =
      _mm_mullo_epi16(_mm_and_si128(bytes, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
  __m128i values = _mm_or_si128(high, low);
  /* 0 for up to 51, 1 … 12 for 52 … 63; and 13 where the value is under 26 */
  __m128i classes = _mm_subs_epu8(values, _mm_set1_epi8(51));
  __m128i capital = _mm_cmpgt_epi8(_mm_set1_epi8(26), values);
  classes = _mm_or_si128(classes, _mm_and_si128(capital, _mm_set1_epi8(13)));
  return _mm_add_epi8(values, _mm_shuffle_epi8(offsets, classes));
}

/* Encodes a line of 57 bytes: four times twelve, and nine that are loaded with the seven before
 * them. All loads and stores stay inside the line. */
__attribute__((target("ssse3"))) static void encode_line_wide(char *out, const unsigned char *in)
{
  const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
  const __m128i spread_7 = _mm_add_epi8(spread, _mm_set1_epi8(7));
  __m128i last;
  uint32_t four;
  for (int i = 0; i < 4; i++) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(in + 12 * i));
    _mm_storeu_si128((__m128i *)(void *)(out + 16 * i), encode_12(_mm_shuffle_epi8(bytes, spread)));
  }
  last = _mm_loadu_si128((const __m128i *)(const void *)(in + LINE_IN - 16));
  last = encode_12(_mm_shuffle_epi8(last, spread_7));
  _mm_storel_epi64((__m128i *)(void *)(out + 64), last);
  four = (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(last, 8));
  memcpy(out + 72, &four, sizeof(four));
}

static void encode_line(char *out, const unsigned char *in)
{
  if (__builtin_cpu_supports("ssse3"))
    encode_line_wide(out, in);
  else
    uvsmtp__base64_encode(out, in, LINE_IN);
}
#else
static void encode_line(char *out, const unsigned char *in)
{
  uvsmtp__base64_encode(out, in, LINE_IN);
}
#endif

/* Writes a line of up to 57 bytes, with the CRLF that ends the one before it. */
static size_t put_line(uvsmtp__b64_t *state, char *out, const unsigned char *in, size_t len)
{
  size_t n = 0;
  if (state->begun) {
    out[n++] = '\r';
    out[n++] = '\n';
  }
  state->begun = true;
  if (len == LINE_IN)
    encode_line(out + n, in);
  else
    uvsmtp__base64_encode(out + n, in, len);
  return n + uvsmtp__base64_encoded_len(len);
}

/* Fills up the line that was begun by an earlier piece. */
static void fill_carry(uvsmtp__b64_t *state, const unsigned char **in, size_t *in_len)
{
  size_t n = LINE_IN - state->carried;
  if (n > *in_len)
    n = *in_len;
  if (n > 0)
    memcpy(state->carry + state->carried, *in, n);
  state->carried += n;
  *in += n;
  *in_len -= n;
}

size_t uvsmtp__b64_update(uvsmtp__b64_t *state, const unsigned char **in, size_t *in_len, char *out,
                          size_t out_size)
{
  size_t n = 0;
  if (state->carried > 0) {
    fill_carry(state, in, in_len);
    if (state->carried < LINE_IN)
      return 0;
    n = put_line(state, out, state->carry, LINE_IN);
    state->carried = 0;
  }
  while (*in_len >= LINE_IN && out_size - n >= LINE_OUT + 2) {
    n += put_line(state, out + n, *in, LINE_IN);
    *in += LINE_IN;
    *in_len -= LINE_IN;
  }
  if (*in_len < LINE_IN)
    fill_carry(state, in, in_len);
  return n;
}

size_t uvsmtp__b64_finish(uvsmtp__b64_t *state, char *out)
{
  size_t n = state->carried > 0 ? put_line(state, out, state->carry, state->carried) : 0;
  state->carried = 0;
  return n;
}

uint64_t uvsmtp__b64_length(uint64_t len)
{
  uint64_t characters = (len + 2) / 3 * 4;
  return len == 0 ? 0 : characters + 2 * ((characters - 1) / LINE_OUT);
}
