#include "base/base64.h"

#include <stdint.h>

#include "uvsmtp/errors.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void uvsmtp__base64_encode(char *out, const void *bytes, size_t len)
{
  const uint8_t *in = bytes;
  while (len >= 3) {
    uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 63];
    out[2] = alphabet[group >> 6 & 63];
    out[3] = alphabet[group & 63];
    in += 3;
    out += 4;
    len -= 3;
  }
  if (len > 0) {
    uint32_t group = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0);
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 63];
    out[2] = len > 1 ? alphabet[group >> 6 & 63] : '=';
    out[3] = '=';
  }
}

static int value_of(unsigned char c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes one group of four characters; returns the number of bytes, or 0 if it is malformed. */
static size_t decode_group(uint8_t *out, const char *text, int last)
{
  int a = value_of((unsigned char)text[0]), b = value_of((unsigned char)text[1]);
  int c = value_of((unsigned char)text[2]), d = value_of((unsigned char)text[3]);
  if (a < 0 || b < 0)
    return 0;
  if (last && text[2] == '=' && text[3] == '=' && (b & 15) == 0) {
    out[0] = (uint8_t)(a << 2 | b >> 4);
    return 1;
  }
  if (last && c >= 0 && text[3] == '=' && (c & 3) == 0) {
    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    return 2;
  }
  if (c < 0 || d < 0)
    return 0;
  out[0] = (uint8_t)(a << 2 | b >> 4);
  out[1] = (uint8_t)(b << 4 | c >> 2);
  out[2] = (uint8_t)(c << 6 | d);
  return 3;
}

int uvsmtp__base64_decode(void *out, size_t *out_len, const char *text, size_t len)
{
  uint8_t *to = out;
  *out_len = 0;
  if (len % 4 != 0)
    return UVSMTP_EENCODING;
  for (size_t i = 0; i < len; i += 4) {
    size_t n = decode_group(to + *out_len, text + i, i + 4 == len);
    if (n == 0)
      return UVSMTP_EENCODING;
    *out_len += n;
  }
  return 0;
}
