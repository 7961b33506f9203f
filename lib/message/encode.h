#ifndef UVSMTP_MESSAGE_ENCODE_H
#define UVSMTP_MESSAGE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The content transfer encodings of RFC 2045 sections 6.7 and 6.8, for streams. */

/* Whether to write something as Q of one length rather than base64 of another: people can read Q,
 * which is worth a third more. */
static inline bool uvsmtp__prefer_q(uint64_t q_len, uint64_t b64_len)
{
  return q_len <= b64_len + b64_len / 3;
}

/* ---- base64 ---- */

#define UVSMTP__B64_LINE_IN 57  /* bytes that fill a line */
#define UVSMTP__B64_LINE_OUT 76 /* characters of a full line */

/* What waits for the rest of its line. Zero to begin. */
typedef struct uvsmtp__b64_s {
  unsigned char carry[UVSMTP__B64_LINE_IN];
  size_t carried;
  bool begun; /* a line has been written */
} uvsmtp__b64_t;

/*
 * Takes from `*in` as much as there is room for, moving it on, and returns how many characters
 * were written: whole lines, CRLF between them and none at the end. `out_size` must be 78 or more.
 */
size_t uvsmtp__b64_update(uvsmtp__b64_t *state, const unsigned char **in, size_t *in_len, char *out,
                          size_t out_size);
/* Writes the last line, if there is one; needs 78 characters of room. */
size_t uvsmtp__b64_finish(uvsmtp__b64_t *state, char *out);
/* How many characters `len` bytes become. */
uint64_t uvsmtp__b64_length(uint64_t len);

/* ---- quoted-printable ---- */

/* A place in a text that is being encoded. */
typedef struct uvsmtp__qp_s {
  const char *text;
  size_t len, at;
  size_t column;
} uvsmtp__qp_t;

/*
 * Encodes on as long as there is room (16 characters or more to get anything done) and returns how
 * many characters were written. CRLF is a line end, any other byte is content.
 */
size_t uvsmtp__qp_encode(uvsmtp__qp_t *qp, char *out, size_t out_size);
/* How many characters a text becomes. */
uint64_t uvsmtp__qp_length(const char *text, size_t len);

#endif
