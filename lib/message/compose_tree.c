#include "message/builder.h"

/*
 * What a message shares with its copies, completed: the tree of parts is built, its multiparts get
 * boundaries, and every content is scanned.
 *
 * A boundary begins with "=_", which neither base64 nor quoted-printable can contain; contents that
 * travel as they are have been searched for what all boundaries of the message begin with.
 */
#include <stdio.h>
#include <string.h>

#include "message/encode.h"

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

void uvsmtp__view_look(uvsmtp__view_t *view, const char *boundary_start)
{
  scan_view(view, true);
  find_boundary(view, boundary_start);
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
  /* All numbers have as many digits, so that no boundary is the beginning of another one. */
  int digits = snprintf(NULL, 0, "%zu", m->last_part->index);
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
    snprintf(boundary, sizeof(boundary), "%s_%0*zu", m->boundary_start, digits, p->index);
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
