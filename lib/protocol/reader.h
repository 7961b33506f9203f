#ifndef UVSMTP_PROTOCOL_READER_H
#define UVSMTP_PROTOCOL_READER_H

/*
 * Most replies are one line that lies whole in the bytes fed: "ddd text". Such a line is told by
 * one look at its first octets and one for its end. All others are for reply.c.
 */
#include "base/octets.h"
#include "protocol/machine.h"

/* The first lowest. */
static inline uint32_t uvsmtp__four_octets(const char *s)
{
  return (uint32_t)(uint8_t)s[0] | (uint32_t)(uint8_t)s[1] << 8 | (uint32_t)(uint8_t)s[2] << 16 |
         (uint32_t)(uint8_t)s[3] << 24;
}

/* The code and what divides it from its text; a digit is its value, and a blank is none. */
static inline uint32_t uvsmtp__code_digits(const char *line)
{
  return uvsmtp__four_octets(line) ^ 0x20303030;
}

static inline bool uvsmtp__is_code(uint32_t digits)
{
  return (((digits + 0x00060606) | digits) & 0xfff0f0f0) == 0;
}

/* Is it the code of a success? */
static inline bool uvsmtp__is_success(uint32_t digits)
{
  digits ^= 2;
  return (((digits + 0x00060600) | digits) & 0xfff0f0ff) == 0;
}

static inline int uvsmtp__code_of(uint32_t digits)
{
  return (int)((digits & 15) * 100 + (digits >> 8 & 15) * 10 + (digits >> 16 & 15));
}

/* The same for an enhanced code of single digits, "c.s.d ". */
static inline uint64_t uvsmtp__enhanced_digits(const char *text)
{
  uint64_t last = (uint64_t)(uint8_t)text[4] | (uint64_t)(uint8_t)text[5] << 8;
  return (uvsmtp__four_octets(text) | last << 32) ^ UINT64_C(0x20302e302e30);
}

/* Is it one, of a reply of that class? */
static inline bool uvsmtp__is_enhanced(uint64_t digits, unsigned klass)
{
  digits ^= klass;
  return (((digits + UINT64_C(0x000600060000)) | digits) & UINT64_C(0xfff0fff0ffff)) == 0 &&
         klass != 3;
}

static inline void uvsmtp__note_enhanced(uvsmtp_reply_t *reply, uint64_t digits)
{
  for (unsigned i = 0; i < 3; i++)
    reply->enhanced[i] = (uint16_t)(digits >> (16 * i));
}

/* No reply is held of which the end has not come. */
static inline bool uvsmtp__reader_is_free(const reader_t *reader)
{
  return reader->done || uvsmtp__buffer_len(&reader->partial) == 0;
}

/* The length of the line at `line`, with its end, if that is there and it is not too long; else 0.
 * Five octets are there. */
static inline size_t uvsmtp__whole_line(const reader_t *reader, const char *line, size_t len)
{
  size_t lf;
  if (len >= 4 + UVSMTP__OCTETS) {
    uvsmtp__octets_t text = uvsmtp__octets_load(line + 4);
    uint32_t found = uvsmtp__octets_mask(uvsmtp__octets_equal(text, '\n'));
    if (found != 0) {
      lf = 4 + (size_t)__builtin_ctz(found);
      return lf < reader->max_single ? lf + 1 : 0;
    }
  }
  lf = 4 + uvsmtp__octets_find(line + 4, len - 4, '\n');
  return lf < len && lf < reader->max_single ? lf + 1 : 0;
}

/* The length of the reply at `in` if it is a success of one line, and whole; else 0. */
static inline size_t uvsmtp__success_len(const reader_t *reader, const char *in, size_t in_len)
{
  if (in_len < 5 || !uvsmtp__is_success(uvsmtp__code_digits(in)))
    return 0;
  return uvsmtp__whole_line(reader, in, in_len);
}

/* What says that a flight goes well are lines "250 …", short ones but for the last. */
#define UVSMTP__SHORT_LINE (4 + UVSMTP__OCTETS)
static inline bool uvsmtp__is_250(const char *line)
{
  return memcmp(line, "250 ", 4) == 0;
}

/* Steps over one, where there is room for the longest. */
static inline bool uvsmtp__skip_short(const char **line)
{
  uvsmtp__octets_t text = uvsmtp__octets_load(*line + 4);
  uint32_t ends = uvsmtp__octets_mask(uvsmtp__octets_equal(text, '\n'));
  if (ends == 0 || !uvsmtp__is_250(*line))
    return false;
  *line += 5 + (unsigned)__builtin_ctz(ends);
  return true;
}

/* Finds the end of a line if there is at least room for a short one. */
static inline bool uvsmtp__find_end(uvsmtp_slice_t *line, const char *end)
{
  const char *at = line->base + 4, *last = end - UVSMTP__OCTETS;
  uint32_t ends;
  if (end - line->base < (ptrdiff_t)UVSMTP__SHORT_LINE)
    return false;
  while ((ends = uvsmtp__octets_mask(uvsmtp__octets_equal(uvsmtp__octets_load(at), '\n'))) == 0) {
    if (at == last)
      return false;
    at = at + UVSMTP__OCTETS < last ? at + UVSMTP__OCTETS : last;
  }
  line->len = (size_t)(at + 1 - line->base) + (unsigned)__builtin_ctz(ends);
  return true;
}

/* Reads a reply of one line that lies whole at `line`; false: it is to be read carefully. */
static inline bool uvsmtp__read_single(const reader_t *reader, const char *line, size_t in_len,
                                       uvsmtp_reply_t *reply)
{
  uint32_t digits;
  uint64_t enhanced = UINT64_MAX;
  size_t len;
  if (in_len < 5)
    return false;
  digits = uvsmtp__code_digits(line);
  if (!uvsmtp__is_code(digits) || (digits & 15) - 2 > 3 ||
      (len = uvsmtp__whole_line(reader, line, in_len)) == 0)
    return false;
  reply->code = uvsmtp__code_of(digits);
  reply->lines = 1;
  reply->raw = (uvsmtp_slice_t){line, len};
  if (len > 10)
    enhanced = uvsmtp__enhanced_digits(line + 4);
  if (uvsmtp__is_enhanced(enhanced, digits & 15))
    uvsmtp__note_enhanced(reply, enhanced);
  else
    uvsmtp__reader_enhanced(reply, line + 4, len - 5 - (line[len - 2] == '\r'));
  return true;
}

#endif
