#include "message/builder.h"

/*
 * Completing a message. First what it shares with its copies (compose_tree.c). Then what is its
 * own: Date and Message-ID are made, marks replaced, sender and recipients collected, and the
 * header is written once to see that it can be.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "message/address.h"
#include "message/recipients.h"

/* ---- Fields and marks ---- */

static int no_memory(uvsmtp_message_t *m)
{
  return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_ENOMEM, "out of memory");
}

/* The domain of From, for a Message-ID: in ASCII, or "localhost" where that cannot be. */
static void id_domain(const uvsmtp_message_t *m, char out[UVSMTP_DOMAIN_SIZE])
{
  const uvsmtp__mailbox_t *from = uvsmtp__message_field(m, UVSMTP_FROM)->first;
  const char *domain = m->domain;
  while (from != NULL && from->address == NULL)
    from = from->next;
  if (domain == NULL && from != NULL && strrchr(from->address, '@') != NULL)
    domain = strrchr(from->address, '@') + 1;
  if (domain == NULL || uvsmtp_domain_to_ascii(out, UVSMTP_DOMAIN_SIZE, domain, NULL, 0) != 0)
    memcpy(out, "localhost", 10);
}

static int make_message_id(uvsmtp_message_t *m)
{
  unsigned char bytes[16];
  char domain[UVSMTP_DOMAIN_SIZE], id[UVSMTP_DOMAIN_SIZE + 40] = "<";
  size_t n = 1;
  int err;
  if (m->message_id != NULL)
    return 0;
  if (m->crypto == NULL || m->crypto->random == NULL)
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EHEADER,
                          "Message-ID: none given, and no random bytes to make one of");
  if ((err = m->crypto->random(bytes, sizeof(bytes))) != 0)
    return uvsmtp__detail(m->detail, sizeof(m->detail), err, "Message-ID: no random bytes");
  id_domain(m, domain);
  for (size_t i = 0; i < sizeof(bytes); i++)
    n += (size_t)snprintf(id + n, sizeof(id) - n, "%02x", bytes[i]);
  snprintf(id + n, sizeof(id) - n, "@%s>", domain);
  m->message_id = uvsmtp__arena_strdup(&m->arena, id);
  return m->message_id != NULL ? 0 : no_memory(m);
}

/* Replaces the marks of a field's value, which must stay one line. */
static int render_value(uvsmtp_message_t *m, const char *name, const char *value,
                        uvsmtp__escape_t escape, const char **out)
{
  size_t len = strlen(value);
  int err;
  *out = value;
  if ((m->flags & UVSMTP_MESSAGE_TEMPLATE) == 0 || !uvsmtp__has_marks(value, len))
    return 0;
  if ((err = uvsmtp__marks_replace(m, name, value, len, escape, out, &len)) != 0)
    return err;
  if (uvsmtp__breaks_line(*out, len))
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EINJECTION,
                          "%s: CR or LF in the value of a mark", name);
  if (len > UVSMTP__MAX_VALUE)
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EHEADER, "%s: longer than %d bytes",
                          name, UVSMTP__MAX_VALUE);
  return 0;
}

/* Adds the rendered fields of `from`, but for those that `hidden` has too. */
static int render_fields(uvsmtp_message_t *m, const uvsmtp__texts_t *from,
                         const uvsmtp__texts_t *hidden)
{
  for (const uvsmtp__text_t *t = from->first; t != NULL; t = t->next) {
    const char *value;
    int err;
    if (hidden != NULL && uvsmtp__texts_have(hidden, t->name))
      continue;
    if ((err = render_value(m, t->name, t->value, UVSMTP__ESCAPE_NONE, &value)) != 0)
      return err;
    if (uvsmtp__texts_add(m, &m->rendered, t->name, value) != 0)
      return UVSMTP_ENOMEM;
  }
  return 0;
}

static size_t count_of(const char *text, const char *set)
{
  size_t n = 0;
  for (; *text != '\0'; text++)
    n += strchr(set, *text) != NULL;
  return n;
}

/* Values that stand as they are must leave the URLs what they were: two at most, in brackets. */
static bool keeps_urls(const char *before, const char *after)
{
  for (const char *at = after; *at != '\0'; at++)
    if (*at < ' ' || *at > '~')
      return false;
  return count_of(after, "<> ") == count_of(before, "<> ");
}

static int render_unsubscribe(uvsmtp_message_t *m)
{
  const char *urls = m->unsubscribe;
  int err;
  if (urls == NULL && m->pattern != NULL)
    urls = m->pattern->unsubscribe;
  if (urls == NULL)
    return 0;
  err = render_value(m, "List-Unsubscribe", urls, UVSMTP__ESCAPE_URL, &m->final_unsubscribe);
  if (err == 0 && !keeps_urls(urls, m->final_unsubscribe))
    err = uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EHEADER,
                         "List-Unsubscribe: the value of a mark is no part of a URL");
  return err;
}

static int render_header(uvsmtp_message_t *m)
{
  const uvsmtp_message_t *pattern = m->pattern;
  const char *subject = m->subject;
  int err;
  if (subject == NULL && pattern != NULL)
    subject = pattern->subject;
  if (subject != NULL &&
      (err = render_value(m, "Subject", subject, UVSMTP__ESCAPE_NONE, &m->final_subject)) != 0)
    return err;
  if ((err = render_unsubscribe(m)) != 0)
    return err;
  if (pattern != NULL && (err = render_fields(m, &pattern->headers, &m->headers)) != 0)
    return err;
  return render_fields(m, &m->headers, NULL);
}

/* How a value is written in a text; types have no case (RFC 2045 section 5.1). */
static uvsmtp__escape_t escape_of(const uvsmtp_part_t *part)
{
  size_t len = strlen(part->type);
  return uvsmtp__ascii_equal(part->type, len, "text/html", 9)        ? UVSMTP__ESCAPE_HTML
         : uvsmtp__ascii_equal(part->type, len, "text/calendar", 13) ? UVSMTP__ESCAPE_CALENDAR
                                                                     : UVSMTP__ESCAPE_NONE;
}

/* Renders and scans the marked texts. */
static int render_texts(uvsmtp_message_t *m)
{
  const uvsmtp_message_t *owner = m->pattern != NULL ? m->pattern : m;
  for (const uvsmtp_part_t *p = owner->parts; p != NULL; p = p->next_made) {
    uvsmtp__view_t *view;
    const char *text;
    char *lines;
    size_t len;
    int err;
    if (!p->marked || p->replaced)
      continue;
    if (m->views == NULL &&
        (m->views = uvsmtp__arena_alloc(&m->arena, owner->part_count * sizeof(*m->views))) == NULL)
      return no_memory(m);
    err = uvsmtp__marks_replace(m, p->type, p->view.bytes, p->view.len, escape_of(p), &text, &len);
    if (err != 0)
      return err;
    lines = uvsmtp__arena_alloc(&m->arena, uvsmtp__to_crlf(NULL, text, len) + 1);
    if (lines == NULL)
      return no_memory(m);
    view = &m->views[p->index];
    view->bytes = lines;
    view->len = uvsmtp__to_crlf(lines, text, len);
    uvsmtp__view_look(view, owner->boundary_start);
  }
  return 0;
}

const uvsmtp__view_t *uvsmtp__part_view(const uvsmtp_message_t *m, const uvsmtp_part_t *part)
{
  return part->marked ? &m->views[part->index] : &part->view;
}

/* ---- The envelope ---- */

static bool list_has_8bit(const uvsmtp__mailboxes_t *list)
{
  for (const uvsmtp__mailbox_t *b = list->first; b != NULL; b = b->next)
    if (b->address != NULL && uvsmtp__has_8bit(b->address, strlen(b->address)))
      return true;
  return false;
}

static int check_fields(uvsmtp_message_t *m)
{
  const uvsmtp__mailboxes_t *from = uvsmtp__message_field(m, UVSMTP_FROM);
  const uvsmtp__mailboxes_t *sender = uvsmtp__message_field(m, UVSMTP_SENDER);
  const uvsmtp__mailbox_t *one = sender->count > 0 ? sender->first : from->first;
  if (from->count == 0)
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EHEADER, "From: missing");
  if (from->count > 1 && sender->count == 0) /* RFC 5322 section 3.6.2 */
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_EHEADER,
                          "From: several addresses, and no Sender");
  while (one->address == NULL)
    one = one->next;
  m->sender = one->address;
  for (int f = 0; f < UVSMTP__FIELDS; f++)
    if (list_has_8bit(uvsmtp__message_field(m, (uvsmtp_field_t)f))) {
      m->envelope_utf8 = true;
      m->needs_utf8 = m->needs_utf8 || f != UVSMTP_BCC;
    }
  return 0;
}

static int collect_recipients(uvsmtp_message_t *m)
{
  const char **addresses;
  size_t total = 0, n = 0;
  int err;
  for (int f = UVSMTP_TO; f <= UVSMTP_BCC; f++)
    total += uvsmtp__message_field(m, (uvsmtp_field_t)f)->count;
  if (total == 0)
    return 0;
  addresses = uvsmtp__calloc(&m->mem, total, sizeof(*addresses));
  if (addresses == NULL)
    return no_memory(m);
  for (int f = UVSMTP_TO; f <= UVSMTP_BCC; f++)
    for (const uvsmtp__mailbox_t *b = uvsmtp__message_field(m, (uvsmtp_field_t)f)->first; b != NULL;
         b = b->next)
      if (b->address != NULL)
        addresses[n++] = b->address;
  err = uvsmtp__recipients_unique(&m->mem, addresses, n, &m->recipients, &m->recipient_count);
  uvsmtp__free(&m->mem, addresses);
  return err != 0 ? no_memory(m) : 0;
}

/* ---- All of it ---- */

/* Writes the header into nothing, to find what cannot be written before anything is sent. */
static int try_header(uvsmtp_message_t *m)
{
  uvsmtp__buffer_t out;
  uvsmtp__writer_t w = {.out = &out, .detail = m->detail};
  uvsmtp__buffer_init(&out, &m->mem, m->max_header);
  uvsmtp__write_header(m, &w);
  uvsmtp__buffer_free(&out);
  return w.err;
}

int uvsmtp__seal(uvsmtp_message_t *m)
{
  int err = uvsmtp__seal_parts(m->pattern != NULL ? m->pattern : m);
  if (err == 0)
    err = m->err; /* of a copy's setters */
  if (err != 0 || m->sealed)
    return err != 0 ? err : m->seal_err;
  m->sealed = true;
  if (m->date[0] == '\0')
    err = uvsmtp__format_date(m->date, (int64_t)time(NULL), 0);
  if (err == 0 && (err = check_fields(m)) == 0 && (err = make_message_id(m)) == 0 &&
      (err = render_header(m)) == 0 && (err = render_texts(m)) == 0 &&
      (err = collect_recipients(m)) == 0)
    err = try_header(m);
  return m->seal_err = err;
}

int uvsmtp_message_envelope(uvsmtp_message_t *m, uvsmtp_envelope_t *envelope)
{
  int err = uvsmtp__seal(m);
  if (err != 0)
    return err;
  if (m->recipient_count == 0)
    return uvsmtp__detail(m->detail, sizeof(m->detail), UVSMTP_ENORECIPIENTS,
                          "the message has no To, Cc or Bcc");
  envelope->sender = m->sender;
  envelope->recipients = m->recipients;
  envelope->recipient_count = m->recipient_count;
  if (m->envelope_utf8)
    envelope->flags |= UVSMTP_ENVELOPE_SMTPUTF8;
  return 0;
}
