#ifndef UVSMTP_MESSAGE_FIELDS_H
#define UVSMTP_MESSAGE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "uvsmtp/base.h"

/*
 * Finds the end of a header that comes in pieces: the first empty line. CRLF, LF, and CR without
 * LF end a line; so a CR at the end of a piece waits for the byte behind it.
 */
typedef struct uvsmtp__header_end_s {
  bool in_line;    /* the line has a byte */
  bool cr;         /* the byte before was a CR */
  bool empty_line; /* that CR stood in an empty line */
} uvsmtp__header_end_t;

/* Scans a piece. True: the header ends, and `*len` is how many of its bytes belong to it. */
bool uvsmtp__header_end(uvsmtp__header_end_t *state, const char *bytes, size_t *len);

/* One field of a header, all its lines; offsets are counted from the header's first byte. */
typedef struct uvsmtp__field_s {
  const char *name;
  size_t name_len;
  const char *value; /* behind the colon, with folds, without the last line end */
  size_t value_len;
  size_t start, end; /* whole, with the last line end */
} uvsmtp__field_t;

/* A place in a header, for walking through its fields. Zero but for bytes and len to begin. */
typedef struct uvsmtp__fields_s {
  const char *bytes;
  size_t len;
  size_t at;
  size_t line; /* number of the line that was read last */
} uvsmtp__fields_t;

/*
 * The next field: 1; 0 at the empty line or the end; UVSMTP_EHEADER with a sentence in `detail`.
 */
int uvsmtp__fields_next(uvsmtp__fields_t *fields, uvsmtp__field_t *field, char *detail,
                        size_t detail_size);

/* Whether the field has this name, in whatever case. */
bool uvsmtp__field_is(const uvsmtp__field_t *field, const char *name);

#endif
