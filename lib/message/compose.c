#include "message/builder.h"

/* The life of a message that is built; its setters are in compose_fields.c and compose_parts.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"

#define MAX_HEADER (1024 * 1024)

int uvsmtp_message_new(uvsmtp_message_t **out, const uvsmtp_message_options_t *options)
{
  uvsmtp_message_options_t o;
  uvsmtp_message_t *m;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  *out = NULL;
  if (err != 0)
    return err;
  m = uvsmtp__calloc(o.mem, 1, sizeof(*m));
  if (m == NULL)
    return UVSMTP_ENOMEM;
  m->mem = *uvsmtp__mem(o.mem);
  m->arena.mem = &m->mem;
  m->crypto = o.crypto;
  m->files = o.files;
  m->files_ctx = o.files_ctx;
  m->flags = o.flags;
  m->max_header = o.max_header_bytes != 0 ? o.max_header_bytes : MAX_HEADER;
  if (o.domain != NULL && (m->domain = uvsmtp__arena_strdup(&m->arena, o.domain)) == NULL) {
    uvsmtp_message_free(m);
    return UVSMTP_ENOMEM;
  }
  *out = m;
  return 0;
}

void uvsmtp_message_free(uvsmtp_message_t *m)
{
  uvsmtp_mem_t mem;
  if (m == NULL)
    return;
  mem = m->mem;
  uvsmtp__arena_free(&m->arena);
  uvsmtp__free(&mem, m->attached);
  uvsmtp__free(&mem, m->recipients);
  uvsmtp__free(&mem, m);
}

const char *uvsmtp_message_detail(const uvsmtp_message_t *m)
{
  return m->detail;
}

int uvsmtp_message_copy(uvsmtp_message_t **copy, uvsmtp_message_t *pattern)
{
  uvsmtp_message_options_t o = UVSMTP_MESSAGE_OPTIONS_INIT;
  int err = pattern->pattern != NULL ? UVSMTP_EINVAL : uvsmtp__seal_parts(pattern);
  *copy = NULL;
  if (err != 0)
    return err;
  o.mem = &pattern->mem;
  o.crypto = pattern->crypto;
  o.files = pattern->files;
  o.files_ctx = pattern->files_ctx;
  o.domain = pattern->domain;
  o.flags = pattern->flags;
  o.max_header_bytes = pattern->max_header;
  if ((err = uvsmtp_message_new(copy, &o)) == 0) {
    (*copy)->pattern = pattern;
    (*copy)->parts_sealed = true;
  }
  return err;
}

int uvsmtp__message_fail(uvsmtp_message_t *m, int err, const char *format, ...)
{
  char sentence[UVSMTP__DETAIL_SIZE];
  va_list args;
  if (m->err != 0)
    return err;
  va_start(args, format);
  vsnprintf(sentence, sizeof(sentence), format, args);
  va_end(args);
  m->err = err;
  return uvsmtp__detail(m->detail, sizeof(m->detail), err, "%s", sentence);
}

int uvsmtp__message_open(uvsmtp_message_t *m)
{
  return m->sealed || (m->parts_sealed && m->pattern == NULL) ? UVSMTP_ESTATE : 0;
}

/* ---- Values ---- */

int uvsmtp__check_value(uvsmtp_message_t *m, const char *name, const char *value)
{
  size_t len = strlen(value), bad;
  if (uvsmtp__breaks_line(value, len))
    return uvsmtp__message_fail(m, UVSMTP_EINJECTION, "%s: CR or LF in the value", name);
  if ((bad = uvsmtp__bad_text_at(value, len)) != 0)
    return uvsmtp__message_fail(m, UVSMTP_ECHARSET, "%s: byte %zu is not UTF-8", name, bad);
  if (len > UVSMTP__MAX_VALUE)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: longer than %d bytes", name,
                                UVSMTP__MAX_VALUE);
  return 0;
}

int uvsmtp__keep_value(uvsmtp_message_t *m, const char *name, const char *value, const char **copy)
{
  int err = uvsmtp__message_open(m);
  if (err != 0 || (err = uvsmtp__check_value(m, name, value)) != 0)
    return err;
  *copy = uvsmtp__arena_strdup(&m->arena, value);
  return *copy != NULL ? 0 : uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
}

int uvsmtp__texts_add(uvsmtp_message_t *m, uvsmtp__texts_t *texts, const char *name,
                      const char *value)
{
  uvsmtp__text_t *text = uvsmtp__arena_alloc(&m->arena, sizeof(*text));
  if (text == NULL || (text->name = uvsmtp__arena_strdup(&m->arena, name)) == NULL ||
      (text->value = uvsmtp__arena_strdup(&m->arena, value)) == NULL)
    return uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
  if (texts->last != NULL)
    texts->last->next = text;
  else
    texts->first = text;
  texts->last = text;
  return 0;
}

bool uvsmtp__texts_have(const uvsmtp__texts_t *texts, const char *name)
{
  for (const uvsmtp__text_t *t = texts->first; t != NULL; t = t->next)
    if (uvsmtp__ascii_equal(t->name, strlen(t->name), name, strlen(name)))
      return true;
  return false;
}

static bool is_field_name(const char *name)
{
  size_t len = strlen(name);
  for (size_t i = 0; i < len; i++)
    if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
      return false;
  return len > 0 && len <= UVSMTP__LINE_SOFT - 2;
}

/* ASCII words must fit into a line: encoding them would change what a structured field says. */
static bool has_long_word(const char *value)
{
  while (*value != '\0') {
    size_t n = strcspn(value, " \t");
    if (n > UVSMTP__LINE_HARD - 100 && !uvsmtp__has_8bit(value, n))
      return true;
    value += n;
    value += strspn(value, " \t");
  }
  return false;
}

int uvsmtp__check_field(uvsmtp_message_t *m, const char *name, const char *value,
                        const char *const *owned)
{
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (uvsmtp__breaks_line(name, strlen(name)))
    return uvsmtp__message_fail(m, UVSMTP_EINJECTION, "CR or LF in the name of a field");
  if (!is_field_name(name))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "\"%s\" is not the name of a field", name);
  for (; *owned != NULL; owned++)
    if (uvsmtp__ascii_equal(name, strlen(name), *owned, strlen(*owned)))
      return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: written by the builder itself", name);
  if ((err = uvsmtp__check_value(m, name, value)) != 0)
    return err;
  if (has_long_word(value))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: a word that no line can hold", name);
  return 0;
}
