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
static inline bool uvsmtp__is_enhanced(uint64_t digits, int klass)
{
  return (((digits + UINT64_C(0x000600060006)) | digits) & UINT64_C(0xfff0fff0fff0)) == 0 &&
         (int)(digits & 15) == klass && klass != 3;
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

/* A look at so many octets finds the ends of several short lines; a code may stand behind them. */
#define UVSMTP__SUCCESSES_LOOK 64
#define UVSMTP__SUCCESSES_ROOM (UVSMTP__SUCCESSES_LOOK + 4)

/*
 * The length of `count` such replies that stand one behind the other, if their ends are within that
 * look; else 0. There is UVSMTP__SUCCESSES_ROOM.
 */
static inline size_t uvsmtp__successes_len(const reader_t *reader, const char *in, unsigned count)
{
  uint64_t ends = 0;
  size_t at = 0;
  if (reader->max_single < UVSMTP__SUCCESSES_LOOK)
    return 0;
  for (size_t i = 0; i < UVSMTP__SUCCESSES_LOOK; i += UVSMTP__OCTETS) {
    uvsmtp__octets_t v = uvsmtp__octets_load(in + i);
    ends |= (uint64_t)uvsmtp__octets_mask(uvsmtp__octets_equal(v, '\n')) << i;
  }
  for (; count > 0 && ends != 0; count--) {
    if (!uvsmtp__is_success(uvsmtp__code_digits(in + at)))
      return 0;
    at = (size_t)__builtin_ctzll(ends) + 1;
    ends &= ends - 1;
  }
  return count == 0 ? at : 0;
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
  if (uvsmtp__is_enhanced(enhanced, (int)(digits & 15))) {
    reply->enhanced[0] = (uint16_t)(digits & 15);
    reply->enhanced[1] = (uint16_t)(enhanced >> 16 & 15);
    reply->enhanced[2] = (uint16_t)(enhanced >> 32 & 15);
  } else {
    uvsmtp__reader_enhanced(reply, line + 4, len - 5 - (line[len - 2] == '\r'));
  }
  return true;
}

#endif
