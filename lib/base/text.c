#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/octets.h"

const char *uvsmtp__print_host_port(char *out, size_t size, const char *host, unsigned port)
{
  snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
  return out;
}

bool uvsmtp__ascii_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
  if (a_len != b_len)
    return false;
  for (size_t i = 0; i < a_len; i++)
    if (uvsmtp__ascii_lower(a[i]) != uvsmtp__ascii_lower(b[i]))
      return false;
  return true;
}

static uint64_t word_at(const char *s)
{
  uint64_t word;
  memcpy(&word, s, sizeof(word));
  return word;
}

static bool breaks_line(const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] == '\r' || s[i] == '\n' || s[i] == '\0')
      return true;
  return false;
}

/* Has an octet below 14: all of CR, LF and NUL are, and little else in a line. */
static bool has_low(const char *s)
{
  return uvsmtp__octets_mask(uvsmtp__octets_within(uvsmtp__octets_load(s), 0, 14)) != 0;
}

/* Sixteen octets at a time; the last sixteen may overlap those before. */
bool uvsmtp__breaks_line(const char *s, size_t len)
{
  if (len < UVSMTP__OCTETS)
    return breaks_line(s, len);
  for (size_t i = 0; i + UVSMTP__OCTETS < len; i += UVSMTP__OCTETS)
    if (has_low(s + i))
      return breaks_line(s, len);
  return has_low(s + len - UVSMTP__OCTETS) && breaks_line(s, len);
}

static __attribute__((noinline)) size_t copy_each(char *out, const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (unsigned char)s[i] < ' ' || s[i] == 127 ? '?' : s[i];
  return len;
}

/* What is none of ASCII's printable characters is more than '~' - ' ' in `most`. */
static inline void copy_sixteen(char *out, const char *s, uvsmtp__octets_t *most)
{
  uvsmtp__octets_t v = uvsmtp__octets_load(s);
  memcpy(out, &v, sizeof(v));
  *most = uvsmtp__octets_larger(*most, v - ' ');
}

/* Sixteen octets at a time, the last of which may overlap those before; where some have to be
 * looked at, all once more. */
size_t uvsmtp__copy_text(char *out, const char *s, size_t len)
{
  uvsmtp__octets_t most = {0};
  if (len < UVSMTP__OCTETS)
    return copy_each(out, s, len);
  for (size_t i = 0; i + UVSMTP__OCTETS < len; i += UVSMTP__OCTETS)
    copy_sixteen(out + i, s + i, &most);
  copy_sixteen(out + len - UVSMTP__OCTETS, s + len - UVSMTP__OCTETS, &most);
  return uvsmtp__octets_mask((uvsmtp__octets_t)(most > '~' - ' ')) == 0 ? len
                                                                        : copy_each(out, s, len);
}

bool uvsmtp__has_8bit(const char *s, size_t len)
{
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= len; i += sizeof(uint64_t))
    if ((word_at(s + i) & 0x8080808080808080u) != 0)
      return true;
  if (len >= sizeof(uint64_t))
    return (word_at(s + len - sizeof(uint64_t)) & 0x8080808080808080u) != 0;
  for (; i < len; i++)
    if ((unsigned char)s[i] > 127)
      return true;
  return false;
}

const char uvsmtp__two_digits[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

static void two_digits(char *out, unsigned number)
{
  memcpy(out, uvsmtp__two_digits + number * 2, 2);
}

static size_t large_decimal(char *out, uint64_t number)
{
  size_t len = uvsmtp__decimal(out, number / 10000);
  unsigned rest = (unsigned)(number % 10000);
  two_digits(out + len, rest / 100);
  two_digits(out + len + 2, rest % 100);
  return len + 4;
}

size_t uvsmtp__decimal(char *out, uint64_t number)
{
  unsigned few = (unsigned)number, high = few / 100;
  if (number >= 10000)
    return large_decimal(out, number);
  if (few >= 1000) {
    two_digits(out, high);
    two_digits(out + 2, few % 100);
    return 4;
  }
  if (few >= 100) {
    *out = (char)('0' + high);
    two_digits(out + 1, few % 100);
    return 3;
  }
  if (few >= 10) {
    two_digits(out, few);
    return 2;
  }
  *out = (char)('0' + few);
  return 1;
}

/* How many bytes the well-formed character at `s` has, 0 if there is none. */
static size_t utf8_char(const uint8_t *s, size_t len)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
  uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
  if (n == 0 || n > len)
    return 0;
  for (size_t i = 1; i < n; i++) {
    if (s[i] >> 6 != 2)
      return 0;
    c = c << 6 | (s[i] & 63u);
  }
  if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return 0;
  return n;
}

bool uvsmtp__is_utf8(const char *s, size_t len)
{
  size_t n;
  for (size_t i = 0; i < len; i += n) {
    uint64_t eight = UINT64_MAX; /* octets that may all be ASCII */
    if (len - i >= sizeof(eight))
      memcpy(&eight, s + i, sizeof(eight));
    if ((eight & UINT64_C(0x8080808080808080)) == 0)
      n = sizeof(eight);
    else if ((n = utf8_char((const uint8_t *)s + i, len - i)) == 0)
      return false;
  }
  return true;
}
