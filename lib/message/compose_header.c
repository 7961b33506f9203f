#include "message/builder.h"

#include <string.h>

#include "base/text.h"

/* ---- Addresses ---- */

/* What stands behind a mailbox or the name of a group: comma, colon, semicolon of the group's end,
 * which the caller may have left out. */
static const char *tail_of(const uvsmtp__mailbox_t *b, bool in_group)
{
  const uvsmtp__mailbox_t *next = b->next;
  bool ends = in_group && (next == NULL || next->kind == UVSMTP__GROUP_END);
  bool follows = next != NULL && (!ends || next->next != NULL);
  if (b->kind == UVSMTP__GROUP_BEGIN)
    return !ends ? ":" : follows ? ":;," : ":;";
  return ends ? (follows ? ";," : ";") : follows ? "," : "";
}

static void write_mailbox(uvsmtp__writer_t *w, const uvsmtp__mailbox_t *b, const char *tail)
{
  char word[UVSMTP_ADDRESS_SIZE + 8];
  bool name = b->name[0] != '\0';
  size_t len = strlen(b->address), n = 0;
  if (name) {
    uvsmtp__field_phrase(w, b->name, strlen(b->name));
    word[n++] = '<';
  }
  memcpy(word + n, b->address, len);
  n += len;
  if (name)
    word[n++] = '>';
  memcpy(word + n, tail, strlen(tail));
  uvsmtp__field_word(w, word, n + strlen(tail));
}

static void write_group_name(uvsmtp__writer_t *w, const char *name, const char *tail)
{
  bool encoded;
  w->tail = 1 + strlen(tail);
  encoded = uvsmtp__field_phrase(w, name, strlen(name));
  w->tail = 0;
  if (encoded)
    uvsmtp__field_glue(w, " ");
  uvsmtp__field_glue(w, tail);
}

static void write_addresses(const uvsmtp_message_t *m, uvsmtp__writer_t *w, uvsmtp_field_t field)
{
  const uvsmtp__mailboxes_t *list = uvsmtp__message_field(m, field);
  bool in_group = false;
  if (list->first == NULL)
    return;
  uvsmtp__field_begin(w, uvsmtp__field_name(field));
  for (const uvsmtp__mailbox_t *b = list->first; b != NULL; b = b->next) {
    if (b->kind != UVSMTP__MAILBOX)
      in_group = b->kind == UVSMTP__GROUP_BEGIN;
    if (b->kind == UVSMTP__MAILBOX)
      write_mailbox(w, b, tail_of(b, in_group));
    else if (in_group)
      write_group_name(w, b->name, tail_of(b, true));
  }
  uvsmtp__field_end(w);
}

/* ---- Other fields ---- */

/* Writes words that are ASCII and stay what they are: ids, URLs, a date. */
static void write_words(uvsmtp__writer_t *w, const char *name, const char *value)
{
  if (value == NULL)
    return;
  uvsmtp__field_begin(w, name);
  while (*value != '\0') {
    size_t n = strcspn(value, " ");
    uvsmtp__field_word(w, value, n);
    value += n;
    value += strspn(value, " ");
  }
  uvsmtp__field_end(w);
}

static void write_text(uvsmtp__writer_t *w, const char *name, const char *value)
{
  if (value == NULL)
    return;
  uvsmtp__field_begin(w, name);
  uvsmtp__field_text(w, value, strlen(value));
  uvsmtp__field_end(w);
}

static void write_unsubscribe(const uvsmtp_message_t *m, bool one_click, uvsmtp__writer_t *w)
{
  write_words(w, "List-Unsubscribe", m->final_unsubscribe);
  if (one_click)
    write_words(w, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
}

static const char *own_or_pattern(const char *own, const char *pattern)
{
  return own != NULL ? own : pattern;
}

void uvsmtp__write_header(const uvsmtp_message_t *m, uvsmtp__writer_t *w)
{
  const uvsmtp_message_t *pattern = m->pattern != NULL ? m->pattern : m;
  write_words(w, "Date", m->date);
  write_addresses(m, w, UVSMTP_FROM);
  write_addresses(m, w, UVSMTP_SENDER);
  write_addresses(m, w, UVSMTP_REPLY_TO);
  write_addresses(m, w, UVSMTP_TO);
  write_addresses(m, w, UVSMTP_CC);
  if (uvsmtp__message_field(m, UVSMTP_TO)->first == NULL &&
      uvsmtp__message_field(m, UVSMTP_CC)->first == NULL)
    write_words(w, "To", "undisclosed-recipients:;"); /* some filters suspect mail without To */
  write_text(w, "Subject", m->final_subject);
  write_words(w, "Message-ID", m->message_id);
  write_words(w, "In-Reply-To", own_or_pattern(m->in_reply_to, pattern->in_reply_to));
  write_words(w, "References", own_or_pattern(m->references, pattern->references));
  write_unsubscribe(m, m->unsubscribe != NULL ? m->one_click : pattern->one_click, w);
  for (const uvsmtp__text_t *t = m->rendered.first; t != NULL; t = t->next)
    write_text(w, t->name, t->value);
  write_words(w, "MIME-Version", "1.0");
}

/* ---- Parts ---- */

/* Old mail programs look for the file's name among the parameters of Content-Type, where it was
 * before RFC 2183. */
static void write_name(const uvsmtp_part_t *part, uvsmtp__writer_t *w)
{
  if (part->filename == NULL || uvsmtp__texts_have(&part->params, "name"))
    return;
  if (uvsmtp__has_8bit(part->filename, strlen(part->filename)))
    uvsmtp__field_param_word(w, "name", part->filename);
  else
    uvsmtp__field_param(w, "name", part->filename);
}

static void write_content_type(const uvsmtp_part_t *part, uvsmtp__writer_t *w)
{
  uvsmtp__field_begin(w, "Content-Type");
  uvsmtp__field_word(w, part->type, strlen(part->type));
  if (part->charset != NULL)
    uvsmtp__field_param(w, "charset", part->charset);
  for (const uvsmtp__text_t *t = part->params.first; t != NULL; t = t->next)
    uvsmtp__field_param(w, t->name, t->value);
  if (part->boundary != NULL)
    uvsmtp__field_param(w, "boundary", part->boundary);
  write_name(part, w);
  uvsmtp__field_end(w);
}

void uvsmtp__write_part_header(const uvsmtp_part_t *part, uvsmtp__cte_t cte, uvsmtp__writer_t *w)
{
  static const char *const names[] = {"7bit",   "8bit", "binary", "quoted-printable",
                                      "base64", "7bit" /* RECODED */};
  write_content_type(part, w);
  if (part->kind != UVSMTP__PART_MULTI || cte != UVSMTP__7BIT)
    write_words(w, "Content-Transfer-Encoding", names[cte]);
  if (part->disposition != NULL) {
    uvsmtp__field_begin(w, "Content-Disposition");
    uvsmtp__field_word(w, part->disposition, strlen(part->disposition));
    if (part->filename != NULL)
      uvsmtp__field_param(w, "filename", part->filename);
    uvsmtp__field_end(w);
  }
  write_words(w, "Content-ID", part->content_id);
  write_text(w, "Content-Description", part->description);
  for (const uvsmtp__text_t *t = part->headers.first; t != NULL; t = t->next)
    write_text(w, t->name, t->value);
}
