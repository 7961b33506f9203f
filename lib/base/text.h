#ifndef UVSMTP_BASE_TEXT_H
#define UVSMTP_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ASCII text as protocols use it: independent of the locale. */

/* Equal without regard to the case of ASCII letters. */
bool uvsmtp__ascii_equal(const char *a, size_t a_len, const char *b, size_t b_len);
static inline char uvsmtp__ascii_upper(char c)
{
  return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}
static inline char uvsmtp__ascii_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
static inline bool uvsmtp__ascii_digit(char c)
{
  return c >= '0' && c <= '9';
}
static inline bool uvsmtp__ascii_alnum(char c)
{
  return uvsmtp__ascii_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Has CR, LF or NUL: what could add a line to a dialogue or hide its end. */
bool uvsmtp__breaks_line(const char *s, size_t len);
/* Copies a text without what a terminal could take for more than text: "?" stands for each control
 * character of ASCII, DEL too. Gives the length. */
size_t uvsmtp__copy_text(char *out, const char *s, size_t len);
/* Has a byte above 127. */
bool uvsmtp__has_8bit(const char *s, size_t len);
/* The two digits of each number below a hundred. */
extern const char uvsmtp__two_digits[];
/* Writes `number` in decimal; returns how many digits. There is room for 20; no NUL. */
size_t uvsmtp__decimal(char *out, uint64_t number);
/* "mx.example:587", "[2001:db8::1]:587"; returns `out`. */
const char *uvsmtp__print_host_port(char *out, size_t size, const char *host, unsigned port);
/* Is well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool uvsmtp__is_utf8(const char *s, size_t len);

#endif
