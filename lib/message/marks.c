#include "message/builder.h"

/*
 * Marks in templates: "{{key}}" and, where a value is to stand in HTML, a URL or an invitation as
 * it is, "{{{key}}}". Blanks inside the braces are allowed; braces around anything but a key are
 * text.
 */
#include <string.h>

#include "base/text.h"

typedef struct {
  const char *key;
  size_t key_len;
  size_t len; /* of the whole mark */
  bool raw;
} mark_t;

static bool is_key_char(char c)
{
  return uvsmtp__ascii_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* Reads a mark at `s`. */
static bool read_mark(const char *s, size_t len, mark_t *mark)
{
  size_t braces = len >= 3 && memcmp(s, "{{{", 3) == 0 ? 3 : 2, at = braces;
  if (len < 2 || memcmp(s, "{{", 2) != 0)
    return false;
  while (at < len && s[at] == ' ')
    at++;
  mark->key = s + at;
  while (at < len && is_key_char(s[at]))
    at++;
  mark->key_len = (size_t)(s + at - mark->key);
  while (at < len && s[at] == ' ')
    at++;
  if (mark->key_len == 0 || len - at < braces || memcmp(s + at, "}}}", braces) != 0)
    return false;
  mark->len = at + braces;
  mark->raw = braces == 3;
  return true;
}

static const char *value_of(const uvsmtp_message_t *m, const mark_t *mark)
{
  for (; m != NULL; m = m->pattern) {
    const char *found = NULL;
    for (const uvsmtp__text_t *t = m->marks.first; t != NULL; t = t->next)
      if (strlen(t->name) == mark->key_len && memcmp(t->name, mark->key, mark->key_len) == 0)
        found = t->value; /* the last one counts */
    if (found != NULL)
      return found;
  }
  return NULL;
}

static int put_escaped(uvsmtp__buffer_t *out, const char *value)
{
  int err = 0;
  for (; err == 0 && *value != '\0'; value++) {
    const char *entity = *value == '&'    ? "&amp;"
                         : *value == '<'  ? "&lt;"
                         : *value == '>'  ? "&gt;"
                         : *value == '"'  ? "&quot;"
                         : *value == '\'' ? "&#39;"
                                          : NULL;
    err = entity != NULL ? uvsmtp__buffer_append_str(out, entity)
                         : uvsmtp__buffer_append(out, value, 1);
  }
  return err;
}

/* RFC 5545 section 3.3.11. */
static int put_calendar(uvsmtp__buffer_t *out, const char *value)
{
  int err = 0;
  for (; err == 0 && *value != '\0'; value++) {
    value += value[0] == '\r' && value[1] == '\n'; /* one line end */
    if (*value == '\r' || *value == '\n')
      err = uvsmtp__buffer_append(out, "\\n", 2);
    else if (strchr("\\;,", *value) == NULL || (err = uvsmtp__buffer_append(out, "\\", 1)) == 0)
      err = uvsmtp__buffer_append(out, value, 1);
  }
  return err;
}

/* RFC 3986 section 2.1: all but the unreserved characters. */
static int put_percent(uvsmtp__buffer_t *out, const char *value)
{
  int err = 0;
  for (; err == 0 && *value != '\0'; value++)
    err = uvsmtp__ascii_alnum(*value) || strchr("-._~", *value) != NULL
              ? uvsmtp__buffer_append(out, value, 1)
              : uvsmtp__buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*value);
  return err;
}

static int put_value(uvsmtp__buffer_t *out, const char *value, uvsmtp__escape_t escape)
{
  return escape == UVSMTP__ESCAPE_HTML       ? put_escaped(out, value)
         : escape == UVSMTP__ESCAPE_URL      ? put_percent(out, value)
         : escape == UVSMTP__ESCAPE_CALENDAR ? put_calendar(out, value)
                                             : uvsmtp__buffer_append_str(out, value);
}

/* Copies `text` to `out` with its marks replaced. */
static int replace(uvsmtp_message_t *m, const char *name, const char *text, size_t len,
                   uvsmtp__escape_t escape, uvsmtp__buffer_t *out)
{
  int err = 0;
  for (size_t at = 0; err == 0 && at < len;) {
    const char *brace = memchr(text + at, '{', len - at), *value;
    size_t plain = brace != NULL ? (size_t)(brace - text) - at : len - at;
    mark_t mark;
    err = uvsmtp__buffer_append(out, text + at, plain);
    at += plain;
    if (err != 0 || brace == NULL)
      continue;
    if (!read_mark(text + at, len - at, &mark)) {
      err = uvsmtp__buffer_append(out, text + at++, 1);
      continue;
    }
    if ((value = value_of(m, &mark)) == NULL)
      return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EINVAL,
                            "%s: no value for the mark \"%.*s\"", name, (int)mark.key_len,
                            mark.key);
    err = put_value(out, value, mark.raw ? UVSMTP__ESCAPE_NONE : escape);
    at += mark.len;
  }
  return err;
}

int uvsmtp__marks_replace(uvsmtp_message_t *m, const char *name, const char *text, size_t len,
                          uvsmtp__escape_t escape, const char **out, size_t *out_len)
{
  uvsmtp__buffer_t buffer;
  int err;
  uvsmtp__buffer_init(&buffer, &m->mem, SIZE_MAX / 4);
  err = replace(m, name, text, len, escape, &buffer);
  if (err == 0) {
    *out_len = uvsmtp__buffer_len(&buffer);
    *out = uvsmtp__arena_dup(&m->arena, buffer.base != NULL ? uvsmtp__buffer_data(&buffer) : "",
                             *out_len);
    if (*out == NULL)
      err = UVSMTP_ENOMEM;
  }
  uvsmtp__buffer_free(&buffer);
  return err;
}

bool uvsmtp__has_marks(const char *text, size_t len)
{
  mark_t mark;
  for (size_t i = 0; i + 1 < len; i++)
    if (text[i] == '{' && read_mark(text + i, len - i, &mark))
      return true;
  return false;
}

int uvsmtp_message_mark(uvsmtp_message_t *m, const char *key, const char *value)
{
  size_t bad;
  int err = m->sealed ? UVSMTP_ESTATE : 0;
  if (err != 0)
    return err;
  for (size_t i = 0; i == 0 || key[i] != '\0'; i++)
    if (!is_key_char(key[i]))
      return uvsmtp__message_fail(m, UVSMTP_EINVAL, "\"%s\" is not the key of a mark", key);
  if ((m->flags & UVSMTP_MESSAGE_TEMPLATE) == 0)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "the message is no template");
  if ((bad = uvsmtp__bad_text_at(value, strlen(value))) != 0)
    return uvsmtp__message_fail(m, UVSMTP_ECHARSET, "mark %s: byte %zu is not UTF-8", key, bad);
  return uvsmtp__texts_add(m, &m->marks, key, value);
}
