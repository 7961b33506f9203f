#ifndef UVSMTP_MESSAGE_SCAN_H
#define UVSMTP_MESSAGE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a content is made of: decides how it can travel. */
typedef struct uvsmtp__scan_s {
  bool eight;     /* bytes above 127 */
  bool lines;     /* CRLF is the only place of CR and LF, and ends the content */
  bool controls;  /* NUL, or a control character that text does not have */
  bool from_line; /* a line that begins with "From " */
  size_t longest; /* line, without its CRLF */
} uvsmtp__scan_t;

void uvsmtp__scan(uvsmtp__scan_t *scan, const char *bytes, size_t len);

/* The number of the first byte, from 1, of a line of over `max` bytes; CR, LF and CRLF end lines.
 * 0: there is none. */
size_t uvsmtp__long_line(const char *bytes, size_t len, size_t max);

/* Writes `text` with all line ends as CRLF, and one at its end, to `out` (NULL: nowhere); returns
 * how many bytes that are. */
size_t uvsmtp__to_crlf(char *out, const char *text, size_t len);

/* The number of the first byte, from 1, that is not well-formed UTF-8 or a NUL; 0: there is none.
 */
size_t uvsmtp__bad_text_at(const char *text, size_t len);

#endif
