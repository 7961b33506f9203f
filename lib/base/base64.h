#ifndef UVSMTP_BASE_BASE64_H
#define UVSMTP_BASE_BASE64_H

#include <stddef.h>

/* RFC 4648 section 4, with padding, without line breaks. */

/* How many characters `len` bytes become. */
static inline size_t uvsmtp__base64_encoded_len(size_t len)
{
  return (len + 2) / 3 * 4;
}

/* Writes exactly uvsmtp__base64_encoded_len(len) characters, no NUL. */
void uvsmtp__base64_encode(char *out, const void *bytes, size_t len);

/*
 * Writes at most len / 4 * 3 bytes to `out` (which may be `text` itself) and their number to
 * `*out_len`. 0, or UVSMTP_EENCODING for anything but whole groups of the alphabet with right
 * padding whose spare bits are 0.
 */
int uvsmtp__base64_decode(void *out, size_t *out_len, const char *text, size_t len);

#endif
