#include "base/text.h"

#include <stdint.h>
#include <string.h>

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

/* Has an octet below 14: all of CR, LF and NUL are, and little else in a line. */
static bool has_low(uint64_t word)
{
  return ((word - 0x0e0e0e0e0e0e0e0eu) & ~word & 0x8080808080808080u) != 0;
}

static bool breaks_line(const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] == '\r' || s[i] == '\n' || s[i] == '\0')
      return true;
  return false;
}

/* Eight octets at a time; the last eight may overlap those before. */
bool uvsmtp__breaks_line(const char *s, size_t len)
{
  if (len < sizeof(uint64_t))
    return breaks_line(s, len);
  for (size_t i = 0; i + sizeof(uint64_t) < len; i += sizeof(uint64_t))
    if (has_low(word_at(s + i)))
      return breaks_line(s, len);
  return has_low(word_at(s + len - sizeof(uint64_t))) && breaks_line(s, len);
}

/* An octet may be below 32, or 127. */
static bool word_has_control(uint64_t word)
{
  uint64_t low = (word - 0x2020202020202020u) & ~word;
  uint64_t del = word ^ 0x7f7f7f7f7f7f7f7fu;
  del = (del - 0x0101010101010101u) & ~del;
  return ((low | del) & 0x8080808080808080u) != 0;
}

static bool has_control(const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] < 32 || s[i] == 127)
      return true;
  return false;
}

/* As breaks_line: words that may have one are looked at octet by octet. */
bool uvsmtp__has_control(const char *s, size_t len)
{
  if (len < sizeof(uint64_t))
    return has_control(s, len);
  for (size_t i = 0; i + sizeof(uint64_t) < len; i += sizeof(uint64_t))
    if (word_has_control(word_at(s + i)))
      return has_control(s, len);
  return word_has_control(word_at(s + len - sizeof(uint64_t))) && has_control(s, len);
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

size_t uvsmtp__decimal(char *out, uint64_t number)
{
  static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                              "25262728293031323334353637383940414243444546474849"
                              "50515253545556575859606162636465666768697071727374"
                              "75767778798081828384858687888990919293949596979899";
  char digits[20];
  size_t n = sizeof(digits), len;
  for (; number >= 100; number /= 100)
    memcpy(digits + (n -= 2), pairs + number % 100 * 2, 2);
  if (number >= 10)
    memcpy(digits + (n -= 2), pairs + number * 2, 2);
  else
    digits[--n] = (char)('0' + number);
  len = sizeof(digits) - n;
  for (size_t i = 0; i < len; i++)
    out[i] = digits[n + i];
  return len;
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
