#include "message/encode.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define MAX_LINE 76

/* Bytes that stand for themselves wherever they are: printable ASCII without "=". */
static inline bool is_plain(char c)
{
  return c > ' ' && c < 127 && c != '=';
}

static inline bool at_line_end(const char *text, size_t at, size_t len)
{
  return at == len || (text[at] == '\r' && at + 1 < len && text[at + 1] == '\n');
}

/* Whether the byte at `at`, which begins no line end, must be written as "=XX". */
static inline bool must_escape(const char *text, size_t at, size_t len, size_t column)
{
  char c = text[at];
  if (c == ' ' || c == '\t') /* RFC 2045 section 6.7 rule 3 */
    return at_line_end(text, at + 1, len);
  if (c == 'F' && column == 0) /* mailboxes of the mbox kind change "From " */
    return len - at >= 5 && memcmp(text + at, "From ", 5) == 0;
  return !is_plain(c);
}

/* Whether a soft line break has to come before a byte of this width. */
static inline bool is_full(const char *text, size_t at, size_t len, size_t column, size_t width)
{
  if (column + width < MAX_LINE)
    return false;
  return column + width > MAX_LINE || !at_line_end(text, at + 1, len);
}

/* How many of the next `most` bytes stand for themselves; `left` is all that there is. A blank does
 * if what follows is neither a line end nor another blank. */
static inline size_t run_len(const char *text, size_t most, size_t left)
{
  size_t n = 0;
#if defined(__SSE2__)
  /* Sixteen bytes at a time, of which fifteen know what follows them. */
  while (n + 15 <= most && n + 16 <= left) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + n));
    __m128i printable = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(' ')),
                                      _mm_cmplt_epi8(bytes, _mm_set1_epi8(127)));
    unsigned equals = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('=')));
    unsigned plain = (unsigned)_mm_movemask_epi8(printable) & ~equals;
    unsigned blank = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')));
    unsigned stop = ~(plain | (blank & plain >> 1)) & 0x7fff;
    if (stop != 0)
      return n + (size_t)__builtin_ctz(stop);
    n += 15;
  }
#endif
  while (n < most &&
         (is_plain(text[n]) || (text[n] == ' ' && n + 1 < left && is_plain(text[n + 1]))))
    n++;
  return n;
}

static inline size_t smallest(size_t a, size_t b)
{
  return a < b ? a : b;
}

size_t uvsmtp__qp_encode(uvsmtp__qp_t *qp, char *out, size_t out_size)
{
  static const char hex[] = "0123456789ABCDEF";
  const char *text = qp->text;
  size_t n = 0, at = qp->at, len = qp->len, column = qp->column, run;
  while (at < len && out_size - n >= 6) {
    bool escape;
    if (at_line_end(text, at, len)) {
      memcpy(out + n, "\r\n", 2);
      n += 2;
      at += 2;
      column = 0;
      continue;
    }
    escape = must_escape(text, at, len, column);
    if (is_full(text, at, len, column, escape ? 3 : 1)) {
      memcpy(out + n, "=\r\n", 3);
      n += 3;
      column = 0;
      escape = must_escape(text, at, len, column);
    }
    if (escape) {
      out[n++] = '=';
      out[n++] = hex[(unsigned char)text[at] >> 4];
      out[n++] = hex[(unsigned char)text[at++] & 15];
      column += 3;
      continue;
    }
    out[n++] = text[at++];
    if (++column >= MAX_LINE - 1)
      continue;
    run = smallest(smallest(MAX_LINE - 1 - column, out_size - n), len - at);
    run = run_len(text + at, run, len - at);
    memcpy(out + n, text + at, run);
    n += run;
    at += run;
    column += run;
  }
  qp->at = at;
  qp->column = column;
  return n;
}

uint64_t uvsmtp__qp_length(const char *text, size_t len)
{
  uvsmtp__qp_t qp = {.text = text, .len = len};
  uint64_t total = 0;
  char scratch[4096];
  while (qp.at < qp.len)
    total += uvsmtp__qp_encode(&qp, scratch, sizeof(scratch));
  return total;
}
