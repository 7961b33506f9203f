#include "message/writer.h"

/*
 * Parameters of Content-Type and Content-Disposition. A value is written in the plainest form that
 * can hold it: a token, a quoted string, and where it is not ASCII or too long for a line the
 * numbered and percent-encoded pieces of RFC 2231, each on a line of its own.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "message/address.h"

#define MAX_PIECE 60 /* of an encoded value with its name; with what stands between under 78 */
#define MAX_WORD 75  /* of a whole parameter */

/* RFC 2231 attribute-char. */
static bool is_attribute_char(char c)
{
  return uvsmtp__ascii_alnum(c) || (c != '\0' && strchr("!#$&+-.^_`{|}~", c) != NULL);
}

static size_t percent_len(const char *s, size_t len)
{
  size_t n = 0;
  for (size_t i = 0; i < len; i++)
    n += is_attribute_char(s[i]) ? 1 : 3;
  return n;
}

static size_t put_percent(char *out, const char *s, size_t len)
{
  static const char hex[] = "0123456789ABCDEF";
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (is_attribute_char(s[i])) {
      out[n++] = s[i];
    } else {
      out[n++] = '%';
      out[n++] = hex[(unsigned char)s[i] >> 4];
      out[n++] = hex[(unsigned char)s[i] & 15];
    }
  }
  return n;
}

/* How many bytes of `s`, whole characters, make a piece of at most `room` characters. */
static size_t piece_len(const char *s, size_t len, size_t room)
{
  size_t taken = 0;
  while (taken < len) {
    size_t next = taken + uvsmtp__char_len(s + taken, len - taken);
    if (percent_len(s, next) > room)
      break;
    taken = next;
  }
  return taken;
}

/* Every line but the last gets a semicolon more. */
static void put_param(uvsmtp__writer_t *w, const char *word, size_t len)
{
  uvsmtp__field_glue(w, ";");
  w->soft = UVSMTP__LINE_SOFT - 1;
  uvsmtp__field_word(w, word, len);
}

static void put_encoded(uvsmtp__writer_t *w, const char *name, const char *value, size_t len)
{
  char word[2 * UVSMTP__LINE_SOFT];
  bool one = percent_len(value, len) + strlen(name) <= MAX_PIECE;
  for (unsigned i = 0; (i == 0 || len > 0) && w->err == 0; i++) {
    size_t room = MAX_PIECE - strlen(name), taken = piece_len(value, len, room), n;
    const char *charset = i == 0 ? "utf-8''" : "";
    if (one)
      n = (size_t)snprintf(word, sizeof(word), "%s*=%s", name, charset);
    else
      n = (size_t)snprintf(word, sizeof(word), "%s*%u*=%s", name, i, charset);
    n += put_percent(word + n, value, taken);
    put_param(w, word, n);
    value += taken;
    len -= taken;
  }
}

/* Whether a value needs neither quotes nor encoding. "*", "'" and "%" are token characters, but a
 * reader of RFC 2231 may take them for its own. */
static bool is_plain(const char *value, size_t len)
{
  return uvsmtp__is_token(value, len) && strpbrk(value, "*'%") == NULL;
}

void uvsmtp__field_param(uvsmtp__writer_t *w, const char *name, const char *value)
{
  char word[4 * UVSMTP__LINE_SOFT];
  size_t len = strlen(value), n;
  bool encode = uvsmtp__has_8bit(value, len) || len + strlen(name) > MAX_PIECE;
  for (size_t i = 0; i < len; i++)
    encode = encode || uvsmtp__is_control(value[i]);
  if (!encode) {
    n = (size_t)snprintf(word, sizeof(word), "%s=", name);
    if (!is_plain(value, len)) {
      n += uvsmtp__quote(word + n, value, len);
    } else {
      memcpy(word + n, value, len);
      n += len;
    }
    encode = n > MAX_WORD;
  }
  if (encode)
    put_encoded(w, name, value, len);
  else
    put_param(w, word, n);
}
