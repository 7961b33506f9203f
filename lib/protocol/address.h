#ifndef UVSMTP_PROTOCOL_ADDRESS_H
#define UVSMTP_PROTOCOL_ADDRESS_H

/*
 * Most addresses are short and have no other octets than letters, digits, hyphens and underscores
 * beside dots and the one "@". Such a one is looked at as it is written, many octets at a time; any
 * other is for path.c. All of it is on the way of every message, so it is inline.
 */
#include "base/octets.h"

#define UVSMTP__SHORT_ADDRESS 64 /* octets at most, a bit for each */

/* A bit for each octet that is a part of a word, a dot, or an "@". */
typedef struct {
  uint64_t word, dot, at;
} marks_t;

UVSMTP__INLINE void uvsmtp__mark(marks_t *marks, uvsmtp__octets_t v, size_t place)
{
  uvsmtp__octets_t word = uvsmtp__octets_within(v | 0x20, 'a', 26) |
                          uvsmtp__octets_within(v, '0', 10) | uvsmtp__octets_equal(v, '-') |
                          uvsmtp__octets_equal(v, '_');
  marks->word |= (uint64_t)uvsmtp__octets_mask(word) << place;
  marks->dot |= (uint64_t)uvsmtp__octets_mask(uvsmtp__octets_equal(v, '.')) << place;
  marks->at |= (uint64_t)uvsmtp__octets_mask(uvsmtp__octets_equal(v, '@')) << place;
}

/* Words are cut by dots and the one "@"; none of them is empty. */
UVSMTP__INLINE bool uvsmtp__is_address(const marks_t *marks, size_t len)
{
  uint64_t last = UINT64_C(1) << (len - 1), cut = marks->dot | marks->at;
  return marks->at != 0 && (marks->at & (marks->at - 1)) == 0 &&
         (marks->word | cut) == (last | (last - 1)) && (cut & (cut << 1 | 1 | last)) == 0;
}

UVSMTP__INLINE void uvsmtp__put_sixteen(char *out, const char *s, size_t place, marks_t *marks)
{
  uvsmtp__octets_t v = uvsmtp__octets_load(s + place);
  memcpy(out + place, &v, sizeof(v));
  uvsmtp__mark(marks, v, place);
}

/* Its first eight octets and its last ones, which may be the same. */
UVSMTP__INLINE void uvsmtp__put_few(char *out, const char *s, size_t len, marks_t *marks)
{
  const size_t half = UVSMTP__OCTETS / 2;
  uvsmtp__octets_t v = {0};
  memcpy(&v, s, half);
  memcpy(out, s, half);
  uvsmtp__mark(marks, v, 0);
  memcpy(&v, s + len - half, half);
  memcpy(out + len - half, s + len - half, half);
  uvsmtp__mark(marks, v, len - half);
}

/* Writes an address of `len` octets if it is such a one; there is room for any. */
UVSMTP__INLINE bool uvsmtp__put_address(char *out, const char *s, size_t len)
{
  marks_t marks = {0};
  if (len < UVSMTP__OCTETS / 2 || len > UVSMTP__SHORT_ADDRESS)
    return false;
  if (len < UVSMTP__OCTETS) {
    uvsmtp__put_few(out, s, len, &marks);
  } else {
    uvsmtp__put_sixteen(out, s, 0, &marks);
    for (size_t i = UVSMTP__OCTETS; i + UVSMTP__OCTETS < len; i += UVSMTP__OCTETS)
      uvsmtp__put_sixteen(out, s, i, &marks);
    uvsmtp__put_sixteen(out, s, len - UVSMTP__OCTETS, &marks);
  }
  return uvsmtp__is_address(&marks, len);
}

#endif
