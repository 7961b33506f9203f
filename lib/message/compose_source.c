#include "message/reader.h"

/*
 * A built message as a source. Opening it decides for every part how it travels, writes all headers
 * and boundaries into one buffer, and lists what comes after what: pieces of that buffer, and
 * contents. Reading then goes along the list; what a content gives is in compose_content.c.
 */
#include <string.h>

/* ---- How a part travels ---- */

bool uvsmtp__view_fits_lines(const uvsmtp__view_t *v)
{
  return v->scan.lines && !v->scan.controls && !v->scan.from_line && !v->collides &&
         v->scan.longest <= UVSMTP__LINE_HARD;
}

static uvsmtp__cte_t choose_message(const uvsmtp__view_t *v, unsigned target)
{
  if (!v->scan.eight)
    return UVSMTP__7BIT;
  return (target & UVSMTP_TARGET_8BITMIME) != 0 ? UVSMTP__8BIT : UVSMTP__RECODED;
}

static uvsmtp__cte_t choose_memory(const uvsmtp_message_t *m, const uvsmtp_part_t *part,
                                   unsigned target, bool binary)
{
  const uvsmtp__view_t *v = uvsmtp__part_view(m, part);
  if (part->is_message)
    return choose_message(v, target);
  if (uvsmtp__view_fits_lines(v) && !v->scan.eight)
    return UVSMTP__7BIT;
  if (v->readable && uvsmtp__view_fits_lines(v) && (target & UVSMTP_TARGET_8BITMIME) != 0)
    return UVSMTP__8BIT;
  if (binary && !part->is_text && !v->collides)
    return UVSMTP__BINARY;
  return v->readable && v->scan.lines && uvsmtp__prefer_q(v->qp_len, uvsmtp__b64_length(v->len))
             ? UVSMTP__QP
             : UVSMTP__BASE64;
}

/* A multipart is what the most demanding of its children is (RFC 2045 section 6.4). */
static uvsmtp__cte_t choose_multi(const uvsmtp_message_t *m, const uvsmtp_part_t *part,
                                  unsigned target)
{
  uvsmtp__cte_t cte = UVSMTP__7BIT;
  for (const uvsmtp_part_t *child = part->first; child != NULL; child = child->next) {
    uvsmtp__cte_t c = uvsmtp__choose_cte(m, child, target);
    if (c <= UVSMTP__BINARY && c > cte)
      cte = c;
  }
  return cte;
}

uvsmtp__cte_t uvsmtp__choose_cte(const uvsmtp_message_t *m, const uvsmtp_part_t *part,
                                 unsigned target)
{
  bool binary = (m->flags & UVSMTP_MESSAGE_BINARY) != 0 && (target & UVSMTP_TARGET_BINARYMIME) != 0;
  if (part->kind == UVSMTP__PART_MULTI)
    return choose_multi(m, part, target);
  if (part->kind == UVSMTP__PART_MEMORY)
    return choose_memory(m, part, target, binary);
  /* What cannot be searched for the boundary beforehand needs one that nobody can foresee. */
  return binary && m->crypto != NULL && m->crypto->random != NULL ? UVSMTP__BINARY : UVSMTP__BASE64;
}

/* ---- Laying the message out ---- */

static void add_stretch(uvsmtp__reader_t *r, uvsmtp__laid_t stretch)
{
  if (r->writer.err != 0)
    return;
  if (r->count == r->room) {
    size_t room = r->room != 0 ? 2 * r->room : 8;
    uvsmtp__laid_t *grown =
        uvsmtp__realloc_array(&r->message->mem, r->stretches, room, sizeof(*grown));
    if (grown == NULL) {
      r->writer.err = UVSMTP_ENOMEM;
      return;
    }
    r->stretches = grown;
    r->room = room;
  }
  r->stretches[r->count++] = stretch;
}

/* Closes the text written since the last call into a stretch. */
static void flush_text(uvsmtp__reader_t *r)
{
  size_t end = uvsmtp__buffer_len(&r->text);
  if (end == r->text_done)
    return;
  add_stretch(r, (uvsmtp__laid_t){.start = r->text_done, .len = end - r->text_done});
  if (r->length != UVSMTP_LENGTH_UNKNOWN)
    r->length += end - r->text_done;
  r->text_done = end;
}

static uint64_t content_length(const uvsmtp__reader_t *r, const uvsmtp_part_t *part,
                               uvsmtp__cte_t cte)
{
  const uvsmtp__view_t *v = uvsmtp__part_view(r->message, part);
  uint64_t len = part->kind == UVSMTP__PART_MEMORY ? v->len
                 : part->kind == UVSMTP__PART_FILE ? part->file_len
                                                   : uvsmtp__attached_info(r, part)->length;
  if (len == UVSMTP_LENGTH_UNKNOWN)
    return len;
  return cte == UVSMTP__BASE64 ? uvsmtp__b64_length(len) : cte == UVSMTP__QP ? v->qp_len : len;
}

static void lay_content(uvsmtp__reader_t *r, uvsmtp_part_t *part, uvsmtp__cte_t cte)
{
  uint64_t length = content_length(r, part, cte);
  flush_text(r);
  add_stretch(r, (uvsmtp__laid_t){.part = part, .cte = cte});
  if (length == UVSMTP_LENGTH_UNKNOWN || r->length == UVSMTP_LENGTH_UNKNOWN)
    r->length = UVSMTP_LENGTH_UNKNOWN;
  else
    r->length += length;
  r->moving = r->moving || part->kind != UVSMTP__PART_MEMORY || cte >= UVSMTP__QP;
  r->binary = r->binary || cte == UVSMTP__BINARY;
  r->eight = r->eight || cte == UVSMTP__8BIT || cte == UVSMTP__BINARY;
}

static int open_recoded(const uvsmtp_mem_t *mem, const uvsmtp__view_t *v,
                        uvsmtp__recoded_t *recoded, uint64_t *length)
{
  uvsmtp_raw_options_t o = UVSMTP_RAW_OPTIONS_INIT;
  int err;
  o.mem = mem;
  o.flags = UVSMTP_RAW_KEEP_BCC;
  o.max_header_bytes = v->len + 1;
  if ((err = uvsmtp_raw_new(&recoded->raw, &o)) != 0 ||
      (err = uvsmtp_raw_read(recoded->raw, v->bytes, v->len)) != 0)
    return err;
  return uvsmtp__recode_open(&recoded->recode, recoded->raw,
                             UVSMTP__RAW_8BIT | UVSMTP__RAW_ATTACHED, length);
}

/* Notes that a part cannot go to a server without 8BITMIME. */
static void refuse_8bit(uvsmtp__reader_t *r, const uvsmtp_part_t *part, const char *reason)
{
  if (r->writer.err == 0)
    r->writer.err =
        uvsmtp__detail(r->detail, sizeof(r->detail), UVSMTP_E8BIT, "%s: %s", part->type, reason);
}

/* Lays out an attached message that is 8-bit and must not be encoded as a whole. */
static void lay_recoded(uvsmtp__reader_t *r, uvsmtp_part_t *part)
{
  const uvsmtp_mem_t *mem = &r->message->mem;
  uvsmtp__recoded_t *recoded;
  uint64_t length;
  int err;
  if (!uvsmtp__holds_message(part->type)) {
    refuse_8bit(r, part, "8-bit bytes " UVSMTP__NOT_ENCODED);
    return;
  }
  if ((recoded = uvsmtp__calloc(mem, 1, sizeof(*recoded))) == NULL) {
    r->writer.err = UVSMTP_ENOMEM;
    return;
  }
  recoded->next = r->recoded;
  r->recoded = recoded;
  err = open_recoded(mem, uvsmtp__part_view(r->message, part), recoded, &length);
  if (err == UVSMTP_ENOMEM)
    r->writer.err = err;
  else if (err != 0)
    refuse_8bit(r, part, uvsmtp_raw_detail(recoded->raw));
  if (err != 0)
    return;
  flush_text(r);
  add_stretch(r, (uvsmtp__laid_t){.part = part, .cte = UVSMTP__RECODED, .recoded = recoded});
  if (r->length != UVSMTP_LENGTH_UNKNOWN)
    r->length += length;
  r->moving = true;
}

static void put_text(uvsmtp__reader_t *r, const char *before, const char *boundary,
                     const char *after)
{
  uvsmtp__field_glue(&r->writer, before);
  uvsmtp__field_glue(&r->writer, boundary);
  uvsmtp__field_glue(&r->writer, after);
}

static void lay_part(uvsmtp__reader_t *r, uvsmtp_part_t *part, bool root)
{
  uvsmtp__cte_t cte = uvsmtp__choose_cte(r->message, part, r->target);
  uvsmtp__write_part_header(part, cte, &r->writer);
  uvsmtp__field_glue(&r->writer, "\r\n");
  if (cte == UVSMTP__RECODED) {
    lay_recoded(r, part);
    return;
  }
  if (part->kind != UVSMTP__PART_MULTI) {
    lay_content(r, part, cte);
    /* A message ends with a line end, which base64 has not got; inside a multipart the one before
     * a boundary belongs to that. */
    if (root && cte == UVSMTP__BASE64)
      put_text(r, "\r\n", "", "");
    return;
  }
  put_text(r, "--", part->boundary, "\r\n");
  for (uvsmtp_part_t *child = part->first; child != NULL; child = child->next) {
    lay_part(r, child, false);
    put_text(r, "\r\n--", part->boundary, child->next != NULL ? "\r\n" : root ? "--\r\n" : "--");
  }
}

static int lay_message(uvsmtp__reader_t *r)
{
  const uvsmtp_message_t *m = r->message;
  bool utf8 = (r->target & UVSMTP_TARGET_SMTPUTF8) != 0;
  if (m->needs_utf8 && !utf8)
    return uvsmtp__detail(r->detail, sizeof(r->detail), UVSMTP_EEXTENSION,
                          "an address in the header needs SMTPUTF8");
  r->writer = (uvsmtp__writer_t){
      .out = &r->text,
      .detail = r->detail,
      .utf8 = utf8 && (m->needs_utf8 || (m->flags & UVSMTP_MESSAGE_UTF8) != 0),
  };
  uvsmtp__write_header(m, &r->writer);
  lay_part(r, uvsmtp__message_root(m), true);
  flush_text(r);
  return r->writer.err;
}

/* ---- The source ---- */

static void reader_free(uvsmtp__reader_t *r)
{
  const uvsmtp_mem_t *mem = &r->message->mem;
  uvsmtp__part_end(r, NULL);
  uvsmtp__attached_close(r);
  while (r->recoded != NULL) {
    uvsmtp__recoded_t *recoded = r->recoded;
    r->recoded = recoded->next;
    uvsmtp__recode_close(recoded->recode);
    uvsmtp_raw_free(recoded->raw);
    uvsmtp__free(mem, recoded);
  }
  uvsmtp__buffer_free(&r->text);
  uvsmtp__free(mem, r->stretches);
  uvsmtp__free(mem, r->out_chunk);
  uvsmtp__free(mem, r);
}

static void fill_info(const uvsmtp__reader_t *r, uvsmtp_source_info_t *info)
{
  info->length = r->length;
  info->content = UVSMTP_CONTENT_KNOWN;
  if (r->eight || r->writer.utf8)
    info->content |= UVSMTP_CONTENT_8BIT;
  if (r->writer.utf8)
    info->content |= UVSMTP_CONTENT_UTF8;
  info->content |= r->binary ? UVSMTP_CONTENT_BINARY : UVSMTP_CONTENT_CRLF;
  if (!r->moving)
    info->content |= UVSMTP_CONTENT_STABLE;
  for (size_t i = 0; i < r->attached_count; i++)
    info->content |= r->attached[i].info.content & UVSMTP_CONTENT_ONCE;
}

static uvsmtp__reader_t *reader_new(uvsmtp_source_t *source, unsigned target)
{
  uvsmtp_message_t *m = source->data;
  uvsmtp__reader_t *r = uvsmtp__calloc(&m->mem, 1, sizeof(*r));
  if (r == NULL)
    return NULL;
  r->message = m;
  r->self = source;
  r->target = target;
  uvsmtp__buffer_init(&r->text, &m->mem, 2 * m->max_header);
  return r;
}

static void message_close(uvsmtp_source_t *source)
{
  uvsmtp_message_t *m = source->data;
  uvsmtp__reader_t *r = source->impl;
  memcpy(m->source_detail, r->detail, sizeof(m->source_detail));
  reader_free(r);
  source->impl = NULL;
}

/* A reader that is there already has waited for a source. */
static int message_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp__reader_t *r = source->impl != NULL ? source->impl : reader_new(source, target);
  int err;
  if (r == NULL)
    return UVSMTP_ENOMEM;
  source->impl = r;
  if ((err = uvsmtp__attached_open(r)) == UVSMTP_PENDING)
    return err;
  if (err == 0)
    err = lay_message(r);
  if (err != 0)
    message_close(source);
  else
    fill_info(r, info);
  return err;
}

static int message_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  uvsmtp__reader_t *r = source->impl;
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (r->at < r->count) {
    const uvsmtp__laid_t *stretch = &r->stretches[r->at];
    int err = 0;
    if (stretch->part == NULL) {
      *piece = (uvsmtp_slice_t){uvsmtp__buffer_data(&r->text) + stretch->start, stretch->len};
      r->at++;
      return 0;
    }
    if (!r->begun && (err = uvsmtp__part_begin(r, stretch)) != 0)
      return err;
    if ((err = uvsmtp__part_next(r, stretch, piece)) != 0 || piece->len > 0)
      return err;
    uvsmtp__part_end(r, stretch);
    r->at++;
  }
  return 0;
}

static const char *message_source_detail(uvsmtp_source_t *source)
{
  const uvsmtp_message_t *m = source->data;
  const uvsmtp__reader_t *r = source->impl;
  return r != NULL ? r->detail : m->source_detail;
}

/* What its parts hold, before they are encoded: how much of that there will be depends on the
 * server.
 */
static uint64_t message_length(const uvsmtp_source_t *source)
{
  const uvsmtp_message_t *m = source->data;
  const uvsmtp_part_t *part = m->pattern != NULL ? m->pattern->parts : m->parts;
  uint64_t total = 0;
  for (; part != NULL; part = part->next_made) {
    uint64_t len;
    if (part->replaced) /* its marks were never replaced */
      continue;
    len = part->kind == UVSMTP__PART_MEMORY   ? uvsmtp__part_view(m, part)->len
          : part->kind == UVSMTP__PART_FILE   ? part->file_len
          : part->kind == UVSMTP__PART_SOURCE ? uvsmtp_source_length(part->source)
                                              : 0;
    total += len == UVSMTP_LENGTH_UNKNOWN ? 0 : len;
  }
  return total;
}

static const uvsmtp_source_ops_t message_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = message_open,
    .next = message_next,
    .close = message_close,
    .detail = message_source_detail,
    .length = message_length,
};

int uvsmtp_message_source(uvsmtp_message_t *m, uvsmtp_source_t *source)
{
  int err = uvsmtp__seal(m);
  if (err != 0)
    return err;
  memset(source, 0, sizeof(*source));
  source->ops = &message_ops;
  source->data = m;
  return 0;
}
