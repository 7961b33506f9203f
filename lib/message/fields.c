#include "message/fields.h"

#include <string.h>

#include "base/text.h"
#include "message/detail.h"

bool uvsmtp__header_end(uvsmtp__header_end_t *state, const char *bytes, size_t *len)
{
  for (size_t i = 0; i < *len; i++) {
    char c = bytes[i];
    if (state->cr) {
      state->cr = false;
      if (state->empty_line) {
        *len = c == '\n' ? i + 1 : i;
        return true;
      }
      state->in_line = false;
      if (c == '\n')
        continue;
    }
    if (c == '\n') {
      if (!state->in_line) {
        *len = i + 1;
        return true;
      }
      state->in_line = false;
    } else if (c == '\r') {
      state->cr = true;
      state->empty_line = !state->in_line;
    } else {
      state->in_line = true;
    }
  }
  return false;
}

/* The length of the line at `s` without its end, and with it in `*whole`. */
static size_t line_len(const char *s, size_t len, size_t *whole)
{
  size_t n = 0;
  while (n < len && s[n] != '\r' && s[n] != '\n')
    n++;
  *whole = n;
  if (*whole < len && s[*whole] == '\r')
    ++*whole;
  if (*whole < len && s[*whole] == '\n')
    ++*whole;
  return n;
}

static bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

/* Cuts a field's first line at its colon. Obsolete syntax allows blanks in front of it. */
static int cut_name(uvsmtp__field_t *field, const char *line, size_t len)
{
  size_t n = 0, colon;
  while (n < len && line[n] > ' ' && line[n] < 127 && line[n] != ':')
    n++;
  for (colon = n; colon < len && is_blank(line[colon]);)
    colon++;
  if (n == 0 || colon == len || line[colon] != ':')
    return UVSMTP_EHEADER;
  field->name = line;
  field->name_len = n;
  field->value = line + colon + 1;
  return 0;
}

int uvsmtp__fields_next(uvsmtp__fields_t *fields, uvsmtp__field_t *field, char *detail,
                        size_t detail_size)
{
  const char *s = fields->bytes + fields->at;
  size_t left = fields->len - fields->at, whole = 0, len;
  if (left == 0 || (len = line_len(s, left, &whole)) == 0)
    return 0;
  fields->line++;
  if (is_blank(s[0]))
    return uvsmtp__detail(detail, detail_size, UVSMTP_EHEADER,
                          "line %zu: goes on from a field, but there is none before it",
                          fields->line);
  if (cut_name(field, s, len) != 0)
    return uvsmtp__detail(detail, detail_size, UVSMTP_EHEADER,
                          "line %zu: neither a header field nor the empty line before the body: "
                          "\"%.*s\"",
                          fields->line, len > 60 ? 60 : (int)len, s);
  field->start = fields->at;
  for (size_t at = whole; at < left && is_blank(s[at]);) {
    size_t more;
    len = at + line_len(s + at, left - at, &more);
    at = whole = at + more;
    fields->line++;
  }
  field->value_len = (size_t)(s + len - field->value);
  fields->at += whole;
  field->end = fields->at;
  return 1;
}

bool uvsmtp__field_is(const uvsmtp__field_t *field, const char *name)
{
  return uvsmtp__ascii_equal(field->name, field->name_len, name, strlen(name));
}
