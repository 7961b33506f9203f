#include "message/builder.h"

/*
 * Parts: text, files, sources and multiparts. Text is copied with CRLF as its line end, so that
 * every way of encoding it starts from the canonical form (RFC 2049 section 4); attachments keep
 * their bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"

static int no_memory(uvsmtp_message_t *m)
{
  return uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
}

/* Whether `type` is "token/token". */
static bool is_type(const char *type)
{
  const char *slash = strchr(type, '/');
  return slash != NULL && uvsmtp__is_token(type, (size_t)(slash - type)) &&
         uvsmtp__is_token(slash + 1, strlen(slash + 1)) && strlen(type) <= 127;
}

static bool has_prefix(const char *s, const char *prefix)
{
  size_t n = strlen(prefix);
  return strlen(s) >= n && uvsmtp__ascii_equal(s, n, prefix, n);
}

/* Makes an empty part and puts it behind the others. */
static int make_part(uvsmtp_message_t *m, uvsmtp__kind_t kind, const char *type,
                     uvsmtp_part_t **out)
{
  uvsmtp_part_t *part;
  int err = uvsmtp__message_open(m);
  *out = NULL;
  if (m->pattern != NULL)
    err = UVSMTP_ESTATE; /* a copy has its pattern's parts */
  if (err != 0)
    return err;
  if (uvsmtp__breaks_line(type, strlen(type)))
    return uvsmtp__message_fail(m, UVSMTP_EINJECTION, "Content-Type: CR or LF in the value");
  if (!is_type(type))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: \"%s\" is no type", type);
  part = uvsmtp__arena_alloc(&m->arena, sizeof(*part));
  if (part == NULL || (part->type = uvsmtp__arena_strdup(&m->arena, type)) == NULL)
    return no_memory(m);
  part->message = m;
  part->kind = kind;
  part->index = m->part_count++;
  if (m->last_part != NULL)
    m->last_part->next_made = part;
  else
    m->parts = part;
  m->last_part = part;
  *out = part;
  return 0;
}

/* Copies a text with CRLF as its line end. */
static int take_lines(uvsmtp_message_t *m, uvsmtp__view_t *view, const char *text, size_t len)
{
  char *lines = NULL;
  if (len <= SIZE_MAX / 4)
    lines = uvsmtp__arena_alloc(&m->arena, uvsmtp__to_crlf(NULL, text, len) + 1);
  if (lines == NULL)
    return no_memory(m);
  view->bytes = lines;
  view->len = uvsmtp__to_crlf(lines, text, len);
  return 0;
}

/* ---- Text ---- */

int uvsmtp_part_text(uvsmtp_message_t *m, uvsmtp_part_t **out, const char *subtype,
                     const char *text, size_t len)
{
  char type[160]; /* more than a type can have, so that none is cut in silence */
  uvsmtp_part_t *part;
  size_t bad;
  int err;
  *out = NULL;
  if (len == SIZE_MAX)
    len = strlen(text);
  snprintf(type, sizeof(type), "text/%s", subtype);
  if ((err = make_part(m, UVSMTP__PART_MEMORY, type, &part)) != 0)
    return err;
  if ((bad = uvsmtp__bad_text_at(text, len)) != 0)
    return uvsmtp__message_fail(m, UVSMTP_ECHARSET, "%s: byte %zu is %s", type, bad,
                                text[bad - 1] == '\0' ? "a NUL" : "not UTF-8");
  if ((err = take_lines(m, &part->view, text, len)) != 0)
    return err;
  part->is_text = true;
  part->charset = "utf-8";
  part->marked = (m->flags & UVSMTP_MESSAGE_TEMPLATE) != 0 &&
                 uvsmtp__has_marks(part->view.bytes, part->view.len);
  *out = part;
  return 0;
}

/* Sets a text that there is once; one that was there before is forgotten. */
static int set_text(uvsmtp_message_t *m, uvsmtp_part_t **place, const char *subtype,
                    const char *text, size_t len)
{
  uvsmtp_part_t *part;
  int err = uvsmtp_part_text(m, &part, subtype, text, len);
  if (err != 0)
    return err;
  if (*place != NULL)
    (*place)->replaced = true;
  *place = part;
  return 0;
}

int uvsmtp_message_text(uvsmtp_message_t *m, const char *text, size_t len)
{
  return set_text(m, &m->text, "plain", text, len);
}

int uvsmtp_message_html(uvsmtp_message_t *m, const char *html, size_t len)
{
  return set_text(m, &m->html, "html", html, len);
}

int uvsmtp_message_invitation(uvsmtp_message_t *m, const char *method, const char *calendar,
                              size_t len)
{
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (!uvsmtp__is_token(method, strlen(method)) || strlen(method) > 50)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: not a method of a calendar");
  if ((err = set_text(m, &m->calendar, "calendar", calendar, len)) != 0)
    return err;
  return uvsmtp__texts_add(m, &m->calendar->params, "method", method);
}

/* ---- Content of other parts ---- */

/* Copies a message with CRLF as its line end: it must not be encoded, so its lines have to fit. */
static int take_message(uvsmtp_message_t *m, uvsmtp_part_t *part, const char *bytes, size_t len)
{
  uvsmtp__scan_t scan;
  int err = take_lines(m, &part->view, bytes, len);
  if (err != 0)
    return err;
  uvsmtp__scan(&scan, part->view.bytes, part->view.len);
  if (len > 0 && memchr(bytes, '\0', len) != NULL)
    return uvsmtp__message_fail(m, UVSMTP_ECHARSET, "an attached message has a NUL");
  if (scan.longest > UVSMTP__LINE_HARD)
    return uvsmtp__message_fail(m, UVSMTP_ELINETOOLONG,
                                "an attached message has a line of %zu octets", scan.longest);
  return 0;
}

static int take_memory(uvsmtp_message_t *m, uvsmtp_part_t *part, const uvsmtp_attachment_t *a)
{
  if (part->is_message)
    return take_message(m, part, a->bytes, a->len);
  part->view.bytes = a->bytes;
  part->view.len = a->len;
  if ((a->flags & UVSMTP_ATTACH_COPY) != 0 &&
      (part->view.bytes = uvsmtp__arena_dup(&m->arena, a->bytes, a->len)) == NULL)
    return no_memory(m);
  return 0;
}

static int file_error(uvsmtp_message_t *m, const char *path)
{
  return uvsmtp__message_fail(m, UVSMTP_ESOURCE, "%s: %s", path, strerror(errno));
}

/* Reads all of an open file, however long that is, into memory. */
static int take_whole_file(uvsmtp_message_t *m, uvsmtp_part_t *part, FILE *file)
{
  uvsmtp_attachment_t a = {.flags = UVSMTP_ATTACH_COPY};
  uvsmtp__buffer_t all;
  char piece[4096];
  size_t n;
  int err = 0;
  uvsmtp__buffer_init(&all, &m->mem, SIZE_MAX / 4);
  while (err == 0 && (n = fread(piece, 1, sizeof(piece), file)) > 0)
    err = uvsmtp__buffer_append(&all, piece, n);
  if (err != 0) {
    err = no_memory(m);
  } else if (ferror(file)) {
    err = file_error(m, part->path);
  } else {
    part->kind = UVSMTP__PART_MEMORY;
    a.bytes = all.base != NULL ? uvsmtp__buffer_data(&all) : "";
    a.len = uvsmtp__buffer_len(&all);
    err = take_memory(m, part, &a);
  }
  uvsmtp__buffer_free(&all);
  return err;
}

/* Opens the file once, to know now whether it can be read, and how long it is. What has no end to
 * go to, as a pipe, can be read only now: opened again it would give what is left of it. */
static int take_file(uvsmtp_message_t *m, uvsmtp_part_t *part, const char *path)
{
  FILE *file = fopen(path, "rb");
  bool has_end;
  long end;
  int err = 0;
  if (file == NULL)
    return file_error(m, path);
  has_end = fseek(file, 0, SEEK_END) == 0;
  end = has_end ? ftell(file) : -1;
  part->path = uvsmtp__arena_strdup(&m->arena, path);
  if (part->path == NULL) {
    err = no_memory(m);
  } else if (!has_end || part->is_message) {
    rewind(file);
    err = take_whole_file(m, part, file);
  } else if (fseek(file, 0, SEEK_SET) != 0 || (fgetc(file) == EOF && ferror(file))) {
    err = file_error(m, path); /* a directory opens, but cannot be read */
  }
  part->file_len = end >= 0 ? (uint64_t)end : UVSMTP_LENGTH_UNKNOWN;
  fclose(file);
  return err;
}

static int take_content(uvsmtp_message_t *m, uvsmtp_part_t *part, const uvsmtp_attachment_t *a)
{
  if (part->kind == UVSMTP__PART_FILE)
    return take_file(m, part, a->path);
  if (part->kind == UVSMTP__PART_MEMORY)
    return take_memory(m, part, a);
  if (part->is_message)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "%s: not from a source", part->type);
  part->source = a->source;
  return 0;
}

/* The last part of a path, with the separators of the systems that have them. */
static const char *base_name(const char *path)
{
  const char *name = path;
  for (const char *c = path; *c != '\0'; c++)
#ifdef _WIN32
    if (*c == '/' || *c == '\\' || *c == ':')
#else
    if (*c == '/')
#endif
      name = c + 1;
  return name;
}

/* ---- Names of other parts ---- */

static int take_content_id(uvsmtp_message_t *m, uvsmtp_part_t *part, const char *id)
{
  size_t len = strlen(id), brackets = id[0] == '<' && len > 2 && id[len - 1] == '>';
  char *kept;
  int err = uvsmtp__check_value(m, "Content-ID", id);
  if (err != 0)
    return err;
  if (!uvsmtp__is_id(id + brackets, len - 2 * brackets))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-ID: not an id");
  kept = uvsmtp__arena_alloc(&m->arena, len + 3);
  if (kept == NULL)
    return no_memory(m);
  snprintf(kept, len + 3, "<%.*s>", (int)(len - 2 * brackets), id + brackets);
  part->content_id = kept;
  return 0;
}

/* The charset of a text: what the caller says, or UTF-8 if it is that. */
static int take_charset(uvsmtp_message_t *m, uvsmtp_part_t *part, const char *charset)
{
  const uvsmtp__view_t *v = &part->view;
  size_t bad;
  if (!has_prefix(part->type, "text/"))
    return 0;
  if (charset == NULL) {
    if (part->kind == UVSMTP__PART_MEMORY && uvsmtp__bad_text_at(v->bytes, v->len) == 0)
      part->charset = "utf-8";
    return 0;
  }
  if (!uvsmtp__is_token(charset, strlen(charset)) || strlen(charset) > 50)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: not a character set");
  if (part->kind == UVSMTP__PART_MEMORY &&
      uvsmtp__ascii_equal(charset, strlen(charset), "utf-8", 5) &&
      (bad = uvsmtp__bad_text_at(v->bytes, v->len)) != 0)
    return uvsmtp__message_fail(m, UVSMTP_ECHARSET, "%s: byte %zu is not UTF-8", part->type, bad);
  return uvsmtp__keep_value(m, "Content-Type", charset, &part->charset);
}

static int take_names(uvsmtp_message_t *m, uvsmtp_part_t *part, const uvsmtp_attachment_t *a)
{
  const char *filename = a->filename;
  int err;
  if (filename == NULL && a->path != NULL)
    filename = base_name(a->path);
  if (filename != NULL && *filename != '\0' &&
      (err = uvsmtp__keep_value(m, "filename", filename, &part->filename)) != 0)
    return err;
  if (a->description != NULL &&
      (err = uvsmtp__keep_value(m, "Content-Description", a->description, &part->description)) != 0)
    return err;
  if (a->content_id != NULL && (err = take_content_id(m, part, a->content_id)) != 0)
    return err;
  if (a->content_id != NULL || (a->flags & UVSMTP_ATTACH_INLINE) != 0)
    part->disposition = "inline";
  else if (part->filename != NULL)
    part->disposition = "attachment";
  return take_charset(m, part, a->charset);
}

static uvsmtp__kind_t kind_of(const uvsmtp_attachment_t *a)
{
  return a->path != NULL     ? UVSMTP__PART_FILE
         : a->source != NULL ? UVSMTP__PART_SOURCE
                             : UVSMTP__PART_MEMORY;
}

int uvsmtp_part_leaf(uvsmtp_message_t *m, uvsmtp_part_t **out, const uvsmtp_attachment_t *content)
{
  uvsmtp_attachment_t a;
  uvsmtp_part_t *part;
  const char *type;
  int err = uvsmtp__message_open(m);
  *out = NULL;
  if (err != 0)
    return err;
  if (content == NULL || (err = uvsmtp__options_copy(&a, sizeof(a), content)) != 0)
    return uvsmtp__message_fail(m, err != 0 ? err : UVSMTP_EINVAL, "an attachment without options");
  if ((a.bytes != NULL) + (a.path != NULL) + (a.source != NULL) != 1)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "an attachment has one content, not %d",
                                (a.bytes != NULL) + (a.path != NULL) + (a.source != NULL));
  type = a.type != NULL ? a.type : uvsmtp_mime_type(a.filename != NULL ? a.filename : a.path);
  if (has_prefix(type, "multipart/"))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: a multipart has no content");
  if ((err = make_part(m, kind_of(&a), type, &part)) != 0)
    return err;
  /* RFC 2046 forbids to encode these; RFC 6532 section 3.7 allows it for message/global. */
  part->is_message = has_prefix(type, "message/") && !has_prefix(type, "message/global");
  if ((err = take_content(m, part, &a)) != 0 || (err = take_names(m, part, &a)) != 0)
    return err;
  *out = part;
  return 0;
}

int uvsmtp_message_attach(uvsmtp_message_t *m, const uvsmtp_attachment_t *attachment)
{
  uvsmtp_part_t *part;
  int err = uvsmtp_part_leaf(m, &part, attachment);
  if (err != 0)
    return err;
  if (part->disposition == NULL)
    part->disposition = "attachment";
  if (m->attached_count == m->attached_room) {
    size_t room = m->attached_room != 0 ? 2 * m->attached_room : 4;
    uvsmtp_part_t **grown = uvsmtp__realloc_array(&m->mem, m->attached, room, sizeof(*grown));
    if (grown == NULL)
      return no_memory(m);
    m->attached = grown;
    m->attached_room = room;
  }
  m->attached[m->attached_count++] = part;
  return 0;
}

/* ---- Trees ---- */

int uvsmtp_part_multipart(uvsmtp_message_t *m, uvsmtp_part_t **out, const char *subtype)
{
  char type[160]; /* more than a type can have, so that none is cut in silence */
  snprintf(type, sizeof(type), "multipart/%s", subtype);
  return make_part(m, UVSMTP__PART_MULTI, type, out);
}

int uvsmtp_part_add(uvsmtp_part_t *parent, uvsmtp_part_t *child)
{
  uvsmtp_message_t *m = parent->message;
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (parent->kind != UVSMTP__PART_MULTI || child->parent != NULL || child->message != m ||
      child == m->root)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "a part cannot be put there");
  for (const uvsmtp_part_t *p = parent; p != NULL; p = p->parent)
    if (p == child)
      return uvsmtp__message_fail(m, UVSMTP_EINVAL, "a part cannot hold itself");
  if (parent->last != NULL)
    parent->last->next = child;
  else
    parent->first = child;
  parent->last = child;
  child->parent = parent;
  return 0;
}

int uvsmtp_part_param(uvsmtp_part_t *part, const char *name, const char *value)
{
  uvsmtp_message_t *m = part->message;
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (!uvsmtp__is_token(name, strlen(name)) || strlen(name) > 30 || strchr(name, '*') != NULL ||
      uvsmtp__ascii_equal(name, strlen(name), "boundary", 8) ||
      uvsmtp__ascii_equal(name, strlen(name), "charset", 7))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: not a parameter's name");
  if (uvsmtp__texts_have(&part->params, name))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Content-Type: %s occurs twice", name);
  if ((err = uvsmtp__check_value(m, name, value)) != 0)
    return err;
  return uvsmtp__texts_add(m, &part->params, name, value);
}

int uvsmtp_part_header(uvsmtp_part_t *part, const char *name, const char *value)
{
  static const char *const owned[] = {"Content-Type",
                                      "Content-Transfer-Encoding",
                                      "Content-Disposition",
                                      "Content-ID",
                                      "Content-Description",
                                      "MIME-Version",
                                      NULL};
  int err = uvsmtp__check_field(part->message, name, value, owned);
  return err != 0 ? err : uvsmtp__texts_add(part->message, &part->headers, name, value);
}

int uvsmtp_message_root(uvsmtp_message_t *m, uvsmtp_part_t *part)
{
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (part->message != m || part->parent != NULL)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "the body lies in another part");
  m->root = part;
  return 0;
}
