#include "message/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void uvsmtp__writer_fail(uvsmtp__writer_t *w, int err, const char *format, ...)
{
  char sentence[UVSMTP__DETAIL_SIZE];
  va_list args;
  if (w->err != 0)
    return;
  w->err = err;
  va_start(args, format);
  vsnprintf(sentence, sizeof(sentence), format, args);
  va_end(args);
  uvsmtp__detail(w->detail, UVSMTP__DETAIL_SIZE, err, "%s: %s", w->name, sentence);
}

static void put(uvsmtp__writer_t *w, const char *bytes, size_t len)
{
  int err;
  if (w->err != 0)
    return;
  err = uvsmtp__buffer_append(w->out, bytes, len);
  if (err == UVSMTP_ETOOLONG)
    uvsmtp__writer_fail(w, UVSMTP_EHEADER, "the header is longer than %zu bytes", w->out->max);
  else
    w->err = err;
  w->column += len;
}

void uvsmtp__field_begin(uvsmtp__writer_t *w, const char *name)
{
  w->name = name;
  w->column = 0;
  w->soft = UVSMTP__LINE_SOFT;
  w->tail = 0;
  w->empty = true;
  put(w, name, strlen(name));
  put(w, ":", 1);
}

void uvsmtp__field_end(uvsmtp__writer_t *w)
{
  put(w, "\r\n", 2);
  w->column = 0;
}

void uvsmtp__field_fold(uvsmtp__writer_t *w)
{
  put(w, "\r\n", 2);
  w->column = 0;
  w->soft = UVSMTP__LINE_SOFT;
}

void uvsmtp__field_word_after(uvsmtp__writer_t *w, const char *blanks, size_t blanks_len,
                              const char *word, size_t len)
{
  bool over = w->column + blanks_len + len + w->tail > w->soft;
  /* Behind the colon a fold is worth it only if the word then fits. */
  if (over && (!w->empty || blanks_len + len <= UVSMTP__LINE_SOFT))
    uvsmtp__field_fold(w);
  if (w->column + blanks_len + len > UVSMTP__LINE_HARD)
    uvsmtp__writer_fail(w, UVSMTP_EHEADER, "a word of %zu bytes, which no line can hold", len);
  put(w, blanks, blanks_len);
  put(w, word, len);
  w->empty = false;
}

void uvsmtp__field_word(uvsmtp__writer_t *w, const char *word, size_t len)
{
  uvsmtp__field_word_after(w, " ", 1, word, len);
}

void uvsmtp__field_glue(uvsmtp__writer_t *w, const char *text)
{
  put(w, text, strlen(text));
}

bool uvsmtp__is_token(const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] <= ' ' || s[i] > '~' || strchr("()<>@,;:\\\"/[]?=", s[i]) != NULL)
      return false;
  return len > 0;
}

size_t uvsmtp__char_len(const char *s, size_t len)
{
  for (size_t n = 1; n <= 4 && n <= len; n++)
    if (uvsmtp__is_utf8(s, n))
      return n;
  return 1;
}
