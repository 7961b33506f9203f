#include "message/reader.h"

/*
 * The contents of the parts of a built message, while it is read: memory at once, files and sources
 * as they come; as they are, or through an encoder into a chunk of fixed size.
 *
 * A content fails if its file cannot be read or its length is not what it was, or if its source
 * fails; then the message is not completed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "message/source.h"

#define LINES 256 /* of base64 in a chunk */
#define IN_SIZE (LINES * UVSMTP__B64_LINE_IN)
#define OUT_SIZE (LINES * (UVSMTP__B64_LINE_OUT + 2))

static void reader_wake(void *reader)
{
  uvsmtp_source_wake(((uvsmtp__reader_t *)reader)->self);
}

/* Says which attachment failed, and why. */
static int content_failed(uvsmtp__reader_t *r, const uvsmtp_part_t *part, int err, const char *why)
{
  const char *name = part->filename != NULL ? part->filename : part->type;
  return uvsmtp__detail(r->detail, sizeof(r->detail), err, *why != '\0' ? "%s: %s" : "%s%s", name,
                        why);
}

static int begin_source(uvsmtp__reader_t *r, uvsmtp_part_t *part)
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

int uvsmtp__part_begin(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch)
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

void uvsmtp__part_end(uvsmtp__reader_t *r)
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

static int read_file(uvsmtp__reader_t *r, const uvsmtp_part_t *part)
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
static int read_content(uvsmtp__reader_t *r, const uvsmtp_part_t *part)
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
static int next_base64(uvsmtp__reader_t *r, const uvsmtp_part_t *part, uvsmtp_slice_t *piece)
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

int uvsmtp__part_next(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch, uvsmtp_slice_t *piece)
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
