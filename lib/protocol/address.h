#ifndef UVSMTP_PROTOCOL_ADDRESS_H
#define UVSMTP_PROTOCOL_ADDRESS_H

/*
 * Most addresses are short and have no other octets than letters, digits, hyphens and underscores
 * beside dots and the one "@". Such a one is looked at as it is written, many octets at a time; any
 * other is for path.c. All of it is on the way of every message, so it is inline.
 */
#include "base/octets.h"

#define UVSMTP__SHORT_ADDRESS 64 /* octets at most, a bit for each */

/* What was seen of one: a bit for each dot or "@", one for each "@", and whether each octet is one
 * of these or a part of a word. */
typedef struct {
  uint64_t cut, at;
  uvsmtp__octets_t well;
} marks_t;

UVSMTP__INLINE void uvsmtp__mark(marks_t *marks, uvsmtp__octets_t v, size_t place)
{
  uvsmtp__octets_t word = uvsmtp__octets_within(v | 0x20, 'a', 26) |
                          uvsmtp__octets_within(v, '0', 10) | uvsmtp__octets_equal(v, '-') |
                          uvsmtp__octets_equal(v, '_');
  uvsmtp__octets_t at = uvsmtp__octets_equal(v, '@'), cut = at | uvsmtp__octets_equal(v, '.');
  marks->well &= word | cut;
  marks->cut |= (uint64_t)uvsmtp__octets_mask(cut) << place;
  marks->at |= (uint64_t)uvsmtp__octets_mask(at) << place;
}

/* Words are cut by dots and the one "@"; none of them is empty. */
UVSMTP__INLINE bool uvsmtp__is_address(const marks_t *marks, size_t len)
{
  uint64_t ends = UINT64_C(1) << (len - 1) | 1;
  return uvsmtp__octets_mask(marks->well) == 0xffff && marks->at != 0 &&
         (marks->at & (marks->at - 1)) == 0 && (marks->cut & (marks->cut << 1 | ends)) == 0;
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
  const size_t half = UVSMTP__OCTETS / 2, last = len - half;
  uvsmtp__octets_t v;
  memcpy(&v, s, half);
  memcpy((char *)&v + half, s + last, half);
  memcpy(out, s, half);
  memcpy(out + last, s + last, half);
  uvsmtp__mark(marks, v, 0);
  marks->cut = (marks->cut & 0xff) | marks->cut >> half << last;
  marks->at = (marks->at & 0xff) | marks->at >> half << last;
}

/* Writes an address of `len` octets if it is such a one; there is room for any. */
UVSMTP__INLINE bool uvsmtp__put_address(char *out, const char *s, size_t len)
{
  marks_t marks = {.well = ~(uvsmtp__octets_t){0}};
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
