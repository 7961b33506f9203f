#include "message/builder.h"

/*
 * Completing a message. First what a message shares with its copies: the tree of parts is built,
 * its multiparts get boundaries, and every content is scanned. Then what is its own: Date and
 * Message-ID are made, marks replaced, sender and recipients collected, and the header is written
 * once to see that it can be.
 *
 * A boundary begins with "=_", which neither base64 nor quoted-printable can contain; contents that
 * travel as they are have been searched for what all boundaries of the message begin with.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "message/address.h"
#include "message/encode.h"
#include "message/recipients.h"

#define MAX_ATTEMPTS 100 /* to find a boundary */

/* ---- The tree ---- */

static int wrap(uvsmtp_message_t *m, const char *subtype, uvsmtp_part_t *first,
                uvsmtp_part_t **parent)
{
  int err = uvsmtp_part_multipart(m, parent, subtype);
  return err != 0 ? err : uvsmtp_part_add(*parent, first);
}

static bool goes_with_html(const uvsmtp_message_t *m, const uvsmtp_part_t *part)
{
  return m->html != NULL && part->content_id != NULL;
}

/* HTML with the images that it shows (RFC 2387). */
static int build_html(uvsmtp_message_t *m, uvsmtp_part_t **out)
{
  uvsmtp_part_t *related = NULL;
  int err = 0;
  *out = m->html;
  for (size_t i = 0; err == 0 && i < m->attached_count; i++) {
    if (!goes_with_html(m, m->attached[i]))
      continue;
    if (related == NULL && ((err = wrap(m, "related", m->html, &related)) != 0 ||
                            (err = uvsmtp_part_param(related, "type", "text/html")) != 0))
      return err;
    err = uvsmtp_part_add(related, m->attached[i]);
    *out = related;
  }
  return err;
}

/* Adds `part` as a further alternative to `*body`. */
static int add_alternative(uvsmtp_message_t *m, uvsmtp_part_t **body, uvsmtp_part_t *part,
                           uvsmtp_part_t **alternative)
{
  int err = 0;
  if (part == NULL || *body == NULL) {
    *body = part != NULL ? part : *body;
    return 0;
  }
  if (*alternative == NULL)
    err = wrap(m, "alternative", *body, alternative);
  *body = *alternative;
  return err != 0 ? err : uvsmtp_part_add(*alternative, part);
}

/* What the caller gave as text, HTML and attachments, as the tree that mail programs expect:
 * mixed (alternative (text, related (html, images), calendar), attachments). */
static int build_tree(uvsmtp_message_t *m)
{
  uvsmtp_part_t *body = m->text, *html = NULL, *alternative = NULL, *mixed = NULL;
  int err = m->html != NULL ? build_html(m, &html) : 0;
  if (err != 0 || (err = add_alternative(m, &body, html, &alternative)) != 0 ||
      (err = add_alternative(m, &body, m->calendar, &alternative)) != 0)
    return err;
  if (body == NULL && m->attached_count == 0 &&
      (err = uvsmtp_part_text(m, &body, "plain", "", 0)) != 0)
    return err;
  for (size_t i = 0; err == 0 && i < m->attached_count; i++) {
    if (goes_with_html(m, m->attached[i]))
      continue;
    if (mixed == NULL && (err = uvsmtp_part_multipart(m, &mixed, "mixed")) == 0 && body != NULL)
      err = uvsmtp_part_add(mixed, body);
    if (err == 0)
      err = uvsmtp_part_add(mixed, m->attached[i]);
  }
  m->root = mixed != NULL ? mixed : body;
  return err;
}

static int check_tree(uvsmtp_message_t *m)
{
  for (const uvsmtp_part_t *p = m->parts; p != NULL; p = p->next_made) {
    size_t depth = 0;
    if (p->replaced)
      continue;
    if (p->kind == UVSMTP__PART_MULTI && p->first == NULL)
      return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: without any part", p->type);
    if (p->parent == NULL && p != m->root) /* else its content would be missing in silence */
      return uvsmtp__message_fail(m, UVSMTP_EINVAL,
                                  "%s: a part that was put nowhere and is not the body", p->type);
    for (const uvsmtp_part_t *up = p; up != NULL; up = up->parent)
      if (++depth > UVSMTP__MAX_DEPTH)
        return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: more than %d parts in one another",
                                    p->type, UVSMTP__MAX_DEPTH);
  }
  return 0;
}

/* ---- Boundaries and scans ---- */

static bool contains(const char *bytes, size_t len, const char *what)
{
  size_t n = strlen(what);
  const char *end = bytes + len;
  while (len >= n && (bytes = memchr(bytes, what[0], len - n + 1)) != NULL) {
    if (memcmp(bytes, what, n) == 0)
      return true;
    bytes++;
    len = (size_t)(end - bytes);
  }
  return false;
}

/* Finds out what a content is made of. */
static void scan_view(uvsmtp__view_t *view, bool readable)
{
  uvsmtp__scan(&view->scan, view->bytes, view->len);
  view->readable = readable;
}

static bool is_readable(const uvsmtp_part_t *part)
{
  return part->is_text || part->charset != NULL;
}

/* Looks for the boundary; measures quoted-printable where that may be how the content goes. */
static void find_boundary(uvsmtp__view_t *view, const char *boundary_start)
{
  view->collides = contains(view->bytes, view->len, boundary_start);
  if (view->readable && view->qp_len == 0 && (view->scan.eight || !uvsmtp__view_fits_lines(view)))
    view->qp_len = uvsmtp__qp_length(view->bytes, view->len);
}

static int make_boundary_start(uvsmtp_message_t *m, unsigned attempt)
{
  unsigned char bytes[12];
  size_t n;
  int err;
  if (m->crypto == NULL || m->crypto->random == NULL) {
    snprintf(m->boundary_start, sizeof(m->boundary_start), "=_uvsmtp_%u", attempt);
    return 0;
  }
  if ((err = m->crypto->random(bytes, sizeof(bytes))) != 0)
    return uvsmtp__message_fail(m, err, "no random bytes for a boundary");
  n = (size_t)snprintf(m->boundary_start, sizeof(m->boundary_start), "=_");
  for (size_t i = 0; i < sizeof(bytes); i++)
    n += (size_t)snprintf(m->boundary_start + n, sizeof(m->boundary_start) - n, "%02x", bytes[i]);
  return 0;
}

/* Whether the content of a part is looked at once for all copies. */
static bool is_fixed(const uvsmtp_part_t *part)
{
  return part->kind == UVSMTP__PART_MEMORY && !part->marked && !part->replaced;
}

static void scan_parts(uvsmtp_message_t *m)
{
  for (uvsmtp_part_t *p = m->parts; p != NULL; p = p->next_made)
    if (is_fixed(p))
      scan_view(&p->view, is_readable(p));
}

/* Whether a content holds what boundaries begin with. */
static bool parts_collide(uvsmtp_message_t *m)
{
  bool collides = false;
  for (uvsmtp_part_t *p = m->parts; p != NULL; p = p->next_made) {
    if (!is_fixed(p))
      continue;
    find_boundary(&p->view, m->boundary_start);
    collides = collides || p->view.collides;
  }
  return collides;
}

static int make_boundaries(uvsmtp_message_t *m)
{
  unsigned attempt = 0;
  bool collides = false;
  int err;
  scan_parts(m);
  do
    err = make_boundary_start(m, attempt++);
  while (err == 0 && (collides = parts_collide(m)) && attempt < MAX_ATTEMPTS);
  if (err == 0 && collides) /* without random bytes this can be brought about */
    err = uvsmtp__message_fail(m, UVSMTP_EHEADER, "a part holds all boundaries that were tried");
  for (uvsmtp_part_t *p = m->parts; err == 0 && p != NULL; p = p->next_made) {
    char boundary[80];
    if (p->kind != UVSMTP__PART_MULTI)
      continue;
    snprintf(boundary, sizeof(boundary), "%s_%zu", m->boundary_start, p->index);
    p->boundary = uvsmtp__arena_strdup(&m->arena, boundary);
    if (p->boundary == NULL)
      err = uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
  }
  return err;
}

/* Writes the headers of all parts into nothing: as try_header. */
static int try_parts(uvsmtp_message_t *m)
{
  uvsmtp__buffer_t out;
  uvsmtp__writer_t w = {.out = &out, .detail = m->detail};
  uvsmtp__buffer_init(&out, &m->mem, m->max_header);
  for (const uvsmtp_part_t *p = m->parts; p != NULL; p = p->next_made)
    uvsmtp__write_part_header(p, UVSMTP__BASE64, &w);
  uvsmtp__buffer_free(&out);
  return w.err;
}

int uvsmtp__seal_parts(uvsmtp_message_t *m)
{
  int err = m->err;
  if (m->parts_sealed || err != 0)
    return err;
  if (m->root == NULL)
    err = build_tree(m);
  else if (m->text != NULL || m->html != NULL || m->calendar != NULL || m->attached_count > 0)
    err = uvsmtp__message_fail(m, UVSMTP_EINVAL,
                               "text, HTML or attachments beside a body of the caller's own");
  if (err == 0 && (err = check_tree(m)) == 0 && (err = make_boundaries(m)) == 0)
    err = try_parts(m);
  m->parts_sealed = true;
  return m->err = err;
}

uvsmtp_part_t *uvsmtp__message_root(const uvsmtp_message_t *m)
{
  return m->pattern != NULL ? m->pattern->root : m->root;
}

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

static bool has_name(const uvsmtp__texts_t *texts, const char *name)
{
  for (const uvsmtp__text_t *t = texts->first; t != NULL; t = t->next)
    if (uvsmtp__ascii_equal(t->name, strlen(t->name), name, strlen(name)))
      return true;
  return false;
}

/* Adds the rendered fields of `from`, but for those that `hidden` has too. */
static int render_fields(uvsmtp_message_t *m, const uvsmtp__texts_t *from,
                         const uvsmtp__texts_t *hidden)
{
  for (const uvsmtp__text_t *t = from->first; t != NULL; t = t->next) {
    const char *value;
    int err;
    if (hidden != NULL && has_name(hidden, t->name))
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
    err = uvsmtp__marks_replace(
        m, p->type, p->view.bytes, p->view.len,
        strcmp(p->type, "text/html") == 0 ? UVSMTP__ESCAPE_HTML : UVSMTP__ESCAPE_NONE, &text, &len);
    if (err != 0)
      return err;
    lines = uvsmtp__arena_alloc(&m->arena, uvsmtp__to_crlf(NULL, text, len) + 1);
    if (lines == NULL)
      return no_memory(m);
    view = &m->views[p->index];
    view->bytes = lines;
    view->len = uvsmtp__to_crlf(lines, text, len);
    scan_view(view, true);
    find_boundary(view, owner->boundary_start);
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
