#include "message/builder.h"

/*
 * A built message as a source. Opening it decides for every part how it travels, writes all headers
 * and boundaries into one buffer, and lists what comes after what: pieces of that buffer, and
 * contents. Reading then goes along the list; a content is given from where it lies, or runs
 * through an encoder into a chunk of fixed size.
 *
 * A content fails if its file cannot be read or its length is not what it was, or if its source
 * fails; then the message is not completed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "message/encode.h"
#include "message/raw.h"
#include "message/source.h"

#define LINES 256 /* of base64 in a chunk */
#define IN_SIZE (LINES * UVSMTP__B64_LINE_IN)
#define OUT_SIZE (LINES * (UVSMTP__B64_LINE_OUT + 2))

/* An attached message whose parts are encoded anew. */
typedef struct recoded_s {
  struct recoded_s *next;
  uvsmtp_raw_t *raw;
  uvsmtp__recode_t *recode;
} recoded_t;

/* A stretch of the message: written text, or the content of a part. */
typedef struct {
  uvsmtp_part_t *part; /* NULL: text */
  uvsmtp__cte_t cte;
  recoded_t *recoded;
  size_t start, len; /* of the text */
} stretch_t;

typedef struct {
  const uvsmtp_message_t *message;
  uvsmtp_source_t *self;
  unsigned target;
  uvsmtp__buffer_t text;
  uvsmtp__writer_t writer;
  char detail[UVSMTP__DETAIL_SIZE];
  stretch_t *stretches;
  size_t count, room, at;
  size_t text_done; /* how much of the text is in stretches */
  uint64_t length;
  recoded_t *recoded;
  bool eight, binary, moving; /* 8-bit bytes; binary parts; pieces that do not stay in place */

  /* the content that is being given */
  bool begun;
  FILE *file;
  uvsmtp_part_t *open_source;
  uint64_t given; /* bytes of it that were read */
  uvsmtp__b64_t b64;
  uvsmtp__qp_t qp;
  uvsmtp_slice_t in; /* of what was read, not encoded yet */
  bool in_end;
  char *in_chunk, *out_chunk; /* made when a content needs them */
} reader_t;

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
  return binary && m->crypto != NULL ? UVSMTP__BINARY : UVSMTP__BASE64;
}

/* ---- Laying the message out ---- */

static void add_stretch(reader_t *r, stretch_t stretch)
{
  if (r->writer.err != 0)
    return;
  if (r->count == r->room) {
    size_t room = r->room != 0 ? 2 * r->room : 8;
    stretch_t *grown = uvsmtp__realloc_array(&r->message->mem, r->stretches, room, sizeof(*grown));
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
static void flush_text(reader_t *r)
{
  size_t end = uvsmtp__buffer_len(&r->text);
  if (end == r->text_done)
    return;
  add_stretch(r, (stretch_t){.start = r->text_done, .len = end - r->text_done});
  if (r->length != UVSMTP_LENGTH_UNKNOWN)
    r->length += end - r->text_done;
  r->text_done = end;
}

static uint64_t content_length(const reader_t *r, const uvsmtp_part_t *part, uvsmtp__cte_t cte)
{
  const uvsmtp__view_t *v = uvsmtp__part_view(r->message, part);
  uint64_t len = part->kind == UVSMTP__PART_MEMORY ? v->len
                 : part->kind == UVSMTP__PART_FILE ? part->file_len
                                                   : UVSMTP_LENGTH_UNKNOWN;
  if (len == UVSMTP_LENGTH_UNKNOWN)
    return len;
  return cte == UVSMTP__BASE64 ? uvsmtp__b64_length(len) : cte == UVSMTP__QP ? v->qp_len : len;
}

static void lay_content(reader_t *r, uvsmtp_part_t *part, uvsmtp__cte_t cte)
{
  uint64_t length = content_length(r, part, cte);
  flush_text(r);
  add_stretch(r, (stretch_t){.part = part, .cte = cte});
  if (length == UVSMTP_LENGTH_UNKNOWN || r->length == UVSMTP_LENGTH_UNKNOWN)
    r->length = UVSMTP_LENGTH_UNKNOWN;
  else
    r->length += length;
  r->moving = r->moving || part->kind != UVSMTP__PART_MEMORY || cte >= UVSMTP__QP;
  r->binary = r->binary || cte == UVSMTP__BINARY;
  r->eight = r->eight || cte == UVSMTP__8BIT || cte == UVSMTP__BINARY;
}

static int open_recoded(const uvsmtp_mem_t *mem, const uvsmtp__view_t *v, recoded_t *recoded,
                        uint64_t *length)
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
static void refuse_8bit(reader_t *r, const uvsmtp_part_t *part, const char *reason)
{
  if (r->writer.err == 0)
    r->writer.err =
        uvsmtp__detail(r->detail, sizeof(r->detail), UVSMTP_E8BIT, "%s: %s", part->type, reason);
}

/* Lays out an attached message that is 8-bit and must not be encoded as a whole. */
static void lay_recoded(reader_t *r, uvsmtp_part_t *part)
{
  const uvsmtp_mem_t *mem = &r->message->mem;
  recoded_t *recoded;
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
  add_stretch(r, (stretch_t){.part = part, .cte = UVSMTP__RECODED, .recoded = recoded});
  if (r->length != UVSMTP_LENGTH_UNKNOWN)
    r->length += length;
  r->moving = true;
}

static void put_text(reader_t *r, const char *before, const char *boundary, const char *after)
{
  uvsmtp__field_glue(&r->writer, before);
  uvsmtp__field_glue(&r->writer, boundary);
  uvsmtp__field_glue(&r->writer, after);
}

static void lay_part(reader_t *r, uvsmtp_part_t *part, bool root)
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

static int lay_message(reader_t *r)
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

/* ---- Reading a content ---- */

static void reader_wake(void *reader)
{
  uvsmtp_source_wake(((reader_t *)reader)->self);
}

/* Says which attachment failed, and why. */
static int content_failed(reader_t *r, const uvsmtp_part_t *part, int err, const char *why)
{
  const char *name = part->filename != NULL ? part->filename : part->type;
  return uvsmtp__detail(r->detail, sizeof(r->detail), err, *why != '\0' ? "%s: %s" : "%s%s", name,
                        why);
}

static int begin_source(reader_t *r, uvsmtp_part_t *part)
{
  uvsmtp_source_info_t info;
  int err;
  if (part->reading && r->open_source != part)
    return content_failed(r, part, UVSMTP_EBUSY, "another reading goes on");
  part->source->wake = reader_wake;
  part->source->reader = r;
  err = part->source->ops->open(
      part->source, UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_SMTPUTF8 | UVSMTP_TARGET_BINARYMIME,
      &info);
  part->reading = err == 0 || err == UVSMTP_PENDING;
  r->open_source = part->reading ? part : NULL;
  if (part->reading)
    return err;
  part->source->wake = NULL;
  return content_failed(r, part, err, uvsmtp__source_detail(part->source));
}

static int begin_content(reader_t *r, const stretch_t *stretch)
{
  const uvsmtp_part_t *part = stretch->part;
  const uvsmtp__view_t *v = uvsmtp__part_view(r->message, part);
  const uvsmtp_mem_t *mem = &r->message->mem;
  int err = 0;
  r->in_end = false;
  r->given = 0;
  r->b64 = (uvsmtp__b64_t){.carried = 0};
  r->in = (uvsmtp_slice_t){NULL, 0};
  if (part->kind == UVSMTP__PART_FILE && r->in_chunk == NULL &&
      (r->in_chunk = uvsmtp__malloc(mem, IN_SIZE)) == NULL)
    return UVSMTP_ENOMEM;
  if ((stretch->cte == UVSMTP__QP || stretch->cte == UVSMTP__BASE64) && r->out_chunk == NULL &&
      (r->out_chunk = uvsmtp__malloc(mem, OUT_SIZE)) == NULL)
    return UVSMTP_ENOMEM;
  if (part->kind == UVSMTP__PART_FILE) {
    if ((r->file = fopen(part->path, "rb")) == NULL)
      err = uvsmtp__detail(r->detail, sizeof(r->detail), UVSMTP_ESOURCE, "%s: %s", part->path,
                           strerror(errno));
  } else if (part->kind == UVSMTP__PART_SOURCE) {
    err = begin_source(r, stretch->part);
  } else {
    r->in = (uvsmtp_slice_t){v->bytes, v->len};
    r->qp = (uvsmtp__qp_t){.text = v->bytes, .len = v->len};
  }
  r->begun = err == 0;
  return err;
}

static void end_content(reader_t *r)
{
  if (r->file != NULL)
    fclose(r->file);
  if (r->open_source != NULL) {
    r->open_source->source->wake = NULL;
    r->open_source->source->ops->close(r->open_source->source);
    r->open_source->reading = false;
  }
  r->file = NULL;
  r->open_source = NULL;
  r->begun = false;
}

static int read_file(reader_t *r, const uvsmtp_part_t *part)
{
  size_t n = fread(r->in_chunk, 1, IN_SIZE, r->file);
  r->given += n;
  r->in = (uvsmtp_slice_t){r->in_chunk, n};
  r->in_end = n == 0;
  if (ferror(r->file) || (part->file_len != UVSMTP_LENGTH_UNKNOWN &&
                          (r->in_end ? r->given != part->file_len : r->given > part->file_len)))
    return uvsmtp__detail(r->detail, sizeof(r->detail), UVSMTP_ESOURCE, "%s: %s", part->path,
                          ferror(r->file) ? "cannot be read" : "its length has changed");
  return 0;
}

/* Reads on when `in` is empty. 0, UVSMTP_PENDING or an error; `in_end` at the end. */
static int read_content(reader_t *r, const uvsmtp_part_t *part)
{
  int err;
  if (r->in.len > 0 || r->in_end)
    return 0;
  if (part->kind == UVSMTP__PART_FILE)
    return read_file(r, part);
  if (part->kind == UVSMTP__PART_SOURCE) {
    err = part->source->ops->next(part->source, &r->in);
    r->in_end = err == 0 && r->in.len == 0;
    return err == 0 || err == UVSMTP_PENDING
               ? err
               : content_failed(r, part, err, uvsmtp__source_detail(part->source));
  }
  r->in_end = true; /* memory is given at once */
  return 0;
}

/* Fills the chunk with base64 as far as the content can be read now. */
static int next_base64(reader_t *r, const uvsmtp_part_t *part, uvsmtp_slice_t *piece)
{
  size_t n = 0;
  int err = 0;
  while (n == 0 && !r->in_end && (err = read_content(r, part)) == 0) {
    const unsigned char *in = (const unsigned char *)r->in.base;
    n = r->in_end ? uvsmtp__b64_finish(&r->b64, r->out_chunk)
                  : uvsmtp__b64_update(&r->b64, &in, &r->in.len, r->out_chunk, OUT_SIZE);
    r->in.base = (const char *)in;
  }
  *piece = (uvsmtp_slice_t){r->out_chunk, n};
  return err;
}

/* The next piece of a content; an empty one at its end. */
static int next_of_content(reader_t *r, const stretch_t *stretch, uvsmtp_slice_t *piece)
{
  int err;
  if (stretch->recoded != NULL)
    return uvsmtp__recode_next(stretch->recoded->recode, piece);
  if (stretch->cte == UVSMTP__BASE64)
    return next_base64(r, stretch->part, piece);
  if (stretch->cte == UVSMTP__QP) {
    *piece = (uvsmtp_slice_t){r->out_chunk, uvsmtp__qp_encode(&r->qp, r->out_chunk, OUT_SIZE)};
    return 0;
  }
  err = read_content(r, stretch->part);
  *piece = err == 0 ? r->in : (uvsmtp_slice_t){NULL, 0};
  r->in = (uvsmtp_slice_t){NULL, 0};
  return err;
}

/* ---- The source ---- */

static void reader_free(reader_t *r)
{
  const uvsmtp_mem_t *mem = &r->message->mem;
  end_content(r);
  while (r->recoded != NULL) {
    recoded_t *recoded = r->recoded;
    r->recoded = recoded->next;
    uvsmtp__recode_close(recoded->recode);
    uvsmtp_raw_free(recoded->raw);
    uvsmtp__free(mem, recoded);
  }
  uvsmtp__buffer_free(&r->text);
  uvsmtp__free(mem, r->stretches);
  uvsmtp__free(mem, r->in_chunk);
  uvsmtp__free(mem, r->out_chunk);
  uvsmtp__free(mem, r);
}

static void fill_info(const reader_t *r, uvsmtp_source_info_t *info)
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
}

static int message_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_message_t *m = source->data;
  reader_t *r = uvsmtp__calloc(&m->mem, 1, sizeof(*r));
  int err;
  if (r == NULL)
    return UVSMTP_ENOMEM;
  r->message = m;
  r->self = source;
  r->target = target;
  uvsmtp__buffer_init(&r->text, &m->mem, 2 * m->max_header);
  if ((err = lay_message(r)) != 0) {
    memcpy(m->source_detail, r->detail, sizeof(m->source_detail));
    reader_free(r);
    return err;
  }
  fill_info(r, info);
  source->impl = r;
  return 0;
}

static int message_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  reader_t *r = source->impl;
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (r->at < r->count) {
    const stretch_t *stretch = &r->stretches[r->at];
    int err = 0;
    if (stretch->part == NULL) {
      *piece = (uvsmtp_slice_t){uvsmtp__buffer_data(&r->text) + stretch->start, stretch->len};
      r->at++;
      return 0;
    }
    if (!r->begun && (err = begin_content(r, stretch)) != 0)
      return err;
    if ((err = next_of_content(r, stretch, piece)) != 0 || piece->len > 0)
      return err;
    end_content(r);
    r->at++;
  }
  return 0;
}

static void message_close(uvsmtp_source_t *source)
{
  uvsmtp_message_t *m = source->data;
  reader_t *r = source->impl;
  memcpy(m->source_detail, r->detail, sizeof(m->source_detail));
  reader_free(r);
  source->impl = NULL;
}

static const char *message_source_detail(uvsmtp_source_t *source)
{
  const uvsmtp_message_t *m = source->data;
  const reader_t *r = source->impl;
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
