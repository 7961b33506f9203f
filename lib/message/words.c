#include "message/writer.h"

/*
 * Text in header fields, encoded where it has to be (RFC 2047).
 *
 * Only the stretch of words from the first to the last one that needs it is encoded, so that
 * "Re: Größe der Bilder" stays readable but for the middle. The stretch becomes encoded words of at
 * most 75 characters, on lines of at most 76 (section 2), cut between characters, never inside one;
 * blanks between words belong to the stretch, since readers drop those between encoded words.
 * Q is preferred to B unless it is much longer.
 */
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "message/address.h"
#include "message/encode.h"

#define MAX_WORD 75 /* of an encoded word */
#define MAX_LINE 76 /* with encoded words in it */
#define OVERHEAD 12 /* "=?utf-8?q?" and "?=" */
#define MIN_ROOM 24 /* less on a line is not worth beginning a word */
#define MAX_QUOTED                                                                                 \
  70                  /* longer names are encoded words: some readers take the fold in a name for  \
                         a part of it */
#define MAX_PLAIN 900 /* longer words cannot stand on a line */

static bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

/* ---- Encoded words ---- */

/* What Q leaves as it is: in phrases RFC 2047 section 5 (3) allows least, so that serves all. */
static bool q_plain(char c)
{
  return uvsmtp__ascii_alnum(c) || (c != '\0' && strchr("!*+-/", c) != NULL);
}

static size_t q_len(const char *s, size_t len)
{
  size_t n = 0;
  for (size_t i = 0; i < len; i++)
    n += q_plain(s[i]) || s[i] == ' ' ? 1 : 3;
  return n;
}

/* Whether the encoded form has at most `room` characters; looks at no more than it must. */
static bool fits(const char *s, size_t len, bool q, size_t room)
{
  size_t n = 0;
  if (!q)
    return uvsmtp__base64_encoded_len(len) <= room;
  for (size_t i = 0; i < len && n <= room; i++)
    n += q_len(s + i, 1);
  return n <= room;
}

static size_t put_q(char *out, const char *s, size_t len)
{
  static const char hex[] = "0123456789ABCDEF";
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == ' ') {
      out[n++] = '_';
    } else if (q_plain(s[i])) {
      out[n++] = s[i];
    } else {
      out[n++] = '=';
      out[n++] = hex[(unsigned char)s[i] >> 4];
      out[n++] = hex[(unsigned char)s[i] & 15];
    }
  }
  return n;
}

/*
 * How many bytes of `s`, whole characters, one encoded word takes. Base64 that another word follows
 * has to do without padding, since GMime takes the two for one, which would end at the "="; 0 if
 * that cannot be.
 */
static size_t word_bytes(const char *s, size_t len, bool q, size_t room)
{
  size_t taken = 0, whole = 0; /* `whole`: the last place without padding */
  while (taken < len) {
    size_t next = taken + uvsmtp__char_len(s + taken, len - taken);
    if (!fits(s, next, q, room - OVERHEAD))
      break;
    taken = next;
    if (taken % 3 == 0)
      whole = taken;
  }
  return q || taken == len ? taken : whole;
}

/* Writes one encoded word of as many whole characters as fit into `room`; returns their bytes. */
static size_t encode_word(char out[MAX_WORD + 1], const char *s, size_t len, bool q, size_t room,
                          size_t *out_len)
{
  size_t taken = word_bytes(s, len, q, room), n = 10;
  if (taken == 0) {
    q = true;
    taken = word_bytes(s, len, q, room);
  }
  memcpy(out, q ? "=?utf-8?q?" : "=?utf-8?b?", n);
  if (q)
    n += put_q(out + n, s, taken);
  else
    uvsmtp__base64_encode(out + n, s, taken);
  if (!q)
    n += uvsmtp__base64_encoded_len(taken);
  memcpy(out + n, "?=", 2);
  *out_len = n + 2;
  return taken;
}

static void put_encoded(uvsmtp__writer_t *w, const char *s, size_t len)
{
  bool q = uvsmtp__prefer_q(q_len(s, len), uvsmtp__base64_encoded_len(len));
  size_t used = w->column + 1 + w->tail, most = MAX_WORD - w->tail;
  size_t room = used < MAX_LINE ? MAX_LINE - used : 0;
  bool fold = room < MIN_ROOM && (room < OVERHEAD || !fits(s, len, q, room - OVERHEAD));
  while (len > 0 && w->err == 0) {
    char word[MAX_WORD + 1];
    size_t taken, n;
    if (fold) {
      uvsmtp__field_fold(w);
      room = most;
    }
    taken = encode_word(word, s, len, q, room < most ? room : most, &n);
    uvsmtp__field_word(w, word, n);
    w->soft = MAX_LINE; /* for what follows on this line */
    s += taken;
    len -= taken;
    fold = true;
  }
}

/* ---- Unstructured text ---- */

/* Whether a word cannot stand as it is. */
static bool needs_encoding(const uvsmtp__writer_t *w, const char *word, size_t len)
{
  if (len > MAX_PLAIN || (!w->utf8 && uvsmtp__has_8bit(word, len)))
    return true;
  for (size_t i = 0; i < len; i++)
    if (uvsmtp__is_control(word[i]) || (word[i] == '=' && i + 1 < len && word[i + 1] == '?'))
      return true;
  return false;
}

static size_t word_len(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && !is_blank(s[n]))
    n++;
  return n;
}

static size_t blanks_len(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && is_blank(s[n]))
    n++;
  return n;
}

/* Finds the stretch [*from, *to) to be encoded; empty if there is none. Blanks at the ends of the
 * text would be lost, so they make a stretch too. */
static void find_stretch(const uvsmtp__writer_t *w, const char *s, size_t len, size_t *from,
                         size_t *to)
{
  *from = len;
  *to = 0;
  for (size_t at = 0; at < len;) {
    size_t blanks = blanks_len(s + at, len - at), n = word_len(s + at + blanks, len - at - blanks);
    bool edge = blanks > 0 && (at == 0 || at + blanks == len);
    bool spread = blanks > MAX_PLAIN;
    if (edge || spread || needs_encoding(w, s + at + blanks, n)) {
      size_t start = edge || spread ? at : at + blanks;
      if (*from > start)
        *from = start;
      *to = at + blanks + n;
    }
    at += blanks + n;
  }
}

/* Writes words as they are, each behind the blanks that stand before it. */
static void put_plain(uvsmtp__writer_t *w, const char *s, size_t len)
{
  size_t at = 0;
  while (at < len && w->err == 0) {
    size_t blanks = blanks_len(s + at, len - at), n = word_len(s + at + blanks, len - at - blanks);
    if (n == 0) /* the blank before an encoded word, which writes its own */
      break;
    if (blanks > 0)
      uvsmtp__field_word_after(w, s + at, blanks, s + at + blanks, n);
    else
      uvsmtp__field_word(w, s + at, n);
    at += blanks + n;
  }
}

/* What stands between a stretch and its neighbours must be one blank, since that is what a reader
 * sees there: where there is more, or a tab, the neighbour becomes part of the stretch. */
static void widen_stretch(const char *s, size_t len, size_t *from, size_t *to)
{
  while (*from > 0 && (*from < 2 || s[*from - 1] != ' ' || is_blank(s[*from - 2]))) {
    while (*from > 0 && is_blank(s[*from - 1]))
      --*from;
    while (*from > 0 && !is_blank(s[*from - 1]))
      --*from;
  }
  while (*to < len && (s[*to] != ' ' || *to + 1 == len || is_blank(s[*to + 1]))) {
    *to += blanks_len(s + *to, len - *to);
    *to += word_len(s + *to, len - *to);
  }
}

void uvsmtp__field_text(uvsmtp__writer_t *w, const char *text, size_t len)
{
  size_t from, to;
  find_stretch(w, text, len, &from, &to);
  if (from >= to) {
    put_plain(w, text, len);
    return;
  }
  widen_stretch(text, len, &from, &to);
  put_plain(w, text, from);
  put_encoded(w, text + from, to - from);
  put_plain(w, text + to, len - to);
}

/* ---- Display names ---- */

static bool is_atoms(const uvsmtp__writer_t *w, const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] == ' ' ? (i == 0 || i + 1 == len || s[i - 1] == ' ')
                    : !uvsmtp__is_atext(s[i]) || ((unsigned char)s[i] > 127 && !w->utf8))
      return false;
  return true;
}

bool uvsmtp__field_phrase(uvsmtp__writer_t *w, const char *name, size_t len)
{
  char quoted[2 * MAX_QUOTED + 2];
  size_t quoted_len = len <= MAX_QUOTED ? uvsmtp__quote(quoted, name, len) : SIZE_MAX;
  bool atoms = len <= MAX_QUOTED && is_atoms(w, name, len);
  if (needs_encoding(w, name, len) || (!atoms && quoted_len > MAX_QUOTED)) {
    put_encoded(w, name, len);
    return true;
  }
  uvsmtp__field_word(w, atoms ? name : quoted, atoms ? len : quoted_len);
  return false;
}

void uvsmtp__field_param_word(uvsmtp__writer_t *w, const char *name, const char *value)
{
  char word[UVSMTP__LINE_SOFT + MAX_WORD];
  size_t len = strlen(value), prefix = strlen(name) + 2, n;
  bool q = uvsmtp__prefer_q(q_len(value, len), uvsmtp__base64_encoded_len(len));
  memcpy(word, name, prefix - 2);
  memcpy(word + prefix - 2, "=\"", 2);
  uvsmtp__field_glue(w, ";");
  w->soft = MAX_LINE - 1; /* another semicolon may follow */
  while (len > 0 && w->err == 0) {
    size_t taken = encode_word(word + prefix, value, len, q, MAX_LINE - 3 - prefix, &n);
    value += taken;
    len -= taken;
    if (len == 0)
      word[prefix + n++] = '"';
    uvsmtp__field_word(w, word, prefix + n);
    if (len > 0)
      uvsmtp__field_fold(w);
    prefix = 0;
  }
}
