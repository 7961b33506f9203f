#include "message/reader.h"

/*
 * The contents of the parts of a built message, while it is read: memory at once, files and sources
 * as they come; as they are, or through an encoder into a chunk of fixed size.
 *
 * A content fails if its file cannot be read or its length is not what it was, or if its source
 * fails; then the message is not completed.
 */
#include "message/source.h"

#define CHANGED "its length has changed"
#define OUT_SIZE (256 * (UVSMTP__B64_LINE_OUT + 2))

static void reader_wake(void *reader)
{
  uvsmtp_source_wake(((uvsmtp__reader_t *)reader)->self);
}

/* Says which attachment failed, and why. */
static int content_failed(uvsmtp__reader_t *r, const uvsmtp_part_t *part, int err, const char *why)
{
  const char *name = part->path != NULL       ? part->path
                     : part->filename != NULL ? part->filename
                                              : part->type;
  return uvsmtp__detail(r->detail, sizeof(r->detail), err, *why != '\0' ? "%s: %s" : "%s%s", name,
                        why);
}

/* The same of a file, whose errors are the system's. */
static int file_failed(uvsmtp__reader_t *r, const uvsmtp_part_t *part, int err)
{
  const char *why = err != UVSMTP_ESOURCE ? uvsmtp_strerror(err) : CHANGED;
  return err == UVSMTP_ENOMEM ? err : content_failed(r, part, UVSMTP_ESOURCE, why);
}

static int source_failed(uvsmtp__reader_t *r, const uvsmtp_part_t *part, int err)
{
  return part->kind == UVSMTP__PART_FILE
             ? file_failed(r, part, err)
             : content_failed(r, part, err, uvsmtp__source_detail(part->source));
}

/* Opens a source, of whichever kind, for all that it may give. */
static int open_source(uvsmtp__reader_t *r, const uvsmtp_part_t *part, uvsmtp_source_t *source,
                       uvsmtp_source_info_t *info, bool *open)
{
  int err;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  source->wake = reader_wake;
  source->reader = r;
  err = source->ops->open(
      source, UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_SMTPUTF8 | UVSMTP_TARGET_BINARYMIME, info);
  *open = err == 0 || err == UVSMTP_PENDING;
  if (*open)
    return err;
  source->wake = NULL;
  return source_failed(r, part, err);
}

static void close_source(uvsmtp_source_t *source, bool *open)
{
  if (!*open)
    return;
  *open = false;
  source->wake = NULL;
  source->ops->close(source);
}

/* ---- Attached sources ---- */

/* Notes which there are. */
static int list_attached(uvsmtp__reader_t *r)
{
  const uvsmtp_message_t *m = r->message;
  uvsmtp_part_t *parts = m->pattern != NULL ? m->pattern->parts : m->parts;
  size_t count = 0;
  for (uvsmtp_part_t *p = parts; p != NULL; p = p->next_made)
    count += p->kind == UVSMTP__PART_SOURCE;
  if (count == 0 || r->attached != NULL)
    return 0;
  if ((r->attached = uvsmtp__calloc(&m->mem, count, sizeof(*r->attached))) == NULL)
    return UVSMTP_ENOMEM;
  for (uvsmtp_part_t *p = parts; p != NULL; p = p->next_made)
    if (p->kind == UVSMTP__PART_SOURCE)
      r->attached[r->attached_count++].part = p;
  return 0;
}

/* The same source among those that are open already; NULL: it is not. */
static const uvsmtp__attached_t *opened_before(const uvsmtp__reader_t *r,
                                               const uvsmtp__attached_t *a)
{
  for (size_t i = 0; i < r->attached_open; i++)
    if (r->attached[i].part->source == a->part->source)
      return &r->attached[i];
  return NULL;
}

static int open_attached(uvsmtp__reader_t *r, uvsmtp__attached_t *a)
{
  int err;
  if (a->part->reading && !a->open)
    return content_failed(r, a->part, UVSMTP_EBUSY, "another reading goes on");
  err = open_source(r, a->part, a->part->source, &a->info, &a->open);
  a->part->reading = a->open;
  a->ready = err == 0;
  return err;
}

int uvsmtp__attached_open(uvsmtp__reader_t *r)
{
  int err = list_attached(r);
  for (; err == 0 && r->attached_open < r->attached_count; r->attached_open += err == 0) {
    uvsmtp__attached_t *a = &r->attached[r->attached_open];
    const uvsmtp__attached_t *before = opened_before(r, a);
    if (before == NULL)
      err = open_attached(r, a);
    else
      a->info = before->info; /* it is opened again when its turn comes */
  }
  return err;
}

static uvsmtp__attached_t *attached_of(const uvsmtp__reader_t *r, const uvsmtp_part_t *part)
{
  uvsmtp__attached_t *a = r->attached;
  while (a->part != part)
    a++;
  return a;
}

const uvsmtp_source_info_t *uvsmtp__attached_info(const uvsmtp__reader_t *r,
                                                  const uvsmtp_part_t *part)
{
  return &attached_of(r, part)->info;
}

static void close_attached(uvsmtp__attached_t *a)
{
  if (a->open)
    a->part->reading = false;
  close_source(a->part->source, &a->open);
}

void uvsmtp__attached_close(uvsmtp__reader_t *r)
{
  for (size_t i = 0; i < r->attached_count; i++)
    close_attached(&r->attached[i]);
  uvsmtp__free(&r->message->mem, r->attached);
}

/* ---- Contents ---- */

/* A source that is attached twice is opened now, and has to give what it said the first time. */
static int begin_source(uvsmtp__reader_t *r, uvsmtp__attached_t *a)
{
  uint64_t length = a->info.length;
  int err = a->ready ? 0 : open_attached(r, a);
  a->info.length = length;
  return err;
}

static int begin_file(uvsmtp__reader_t *r, const uvsmtp_part_t *part)
{
  const uvsmtp_message_t *m = r->message;
  const uvsmtp_files_t *files = m->files != NULL ? m->files : &uvsmtp__plain_files;
  uvsmtp_source_info_t info;
  int err;
  if (!r->has_file) {
    if ((err = files->open(m->files_ctx, &r->file, part->path, &m->mem)) != 0)
      return file_failed(r, part, err);
    r->has_file = true;
  }
  err = open_source(r, part, &r->file, &info, &r->file_open);
  if (err == 0 && info.length != UVSMTP_LENGTH_UNKNOWN && info.length != part->file_len &&
      part->file_len != UVSMTP_LENGTH_UNKNOWN)
    err = file_failed(r, part, UVSMTP_ESOURCE);
  return err;
}

int uvsmtp__part_begin(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch)
{
  const uvsmtp_part_t *part = stretch->part;
  const uvsmtp__view_t *v = uvsmtp__part_view(r->message, part);
  int err = 0;
  r->in_end = false;
  r->given = 0;
  r->b64 = (uvsmtp__b64_t){.carried = 0};
  r->in = (uvsmtp_slice_t){NULL, 0};
  if ((stretch->cte == UVSMTP__QP || stretch->cte == UVSMTP__BASE64) && r->out_chunk == NULL &&
      (r->out_chunk = uvsmtp__malloc(&r->message->mem, OUT_SIZE)) == NULL)
    return UVSMTP_ENOMEM;
  if (part->kind == UVSMTP__PART_FILE) {
    err = begin_file(r, part);
  } else if (part->kind == UVSMTP__PART_SOURCE) {
    err = begin_source(r, attached_of(r, part));
  } else {
    r->in = (uvsmtp_slice_t){v->bytes, v->len};
    r->qp = (uvsmtp__qp_t){.text = v->bytes, .len = v->len};
  }
  r->begun = err == 0;
  return err;
}

void uvsmtp__part_end(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch)
{
  const uvsmtp_files_t *files = r->message->files;
  close_source(&r->file, &r->file_open);
  if (r->has_file)
    (files != NULL ? files : &uvsmtp__plain_files)->release(&r->file);
  r->has_file = false;
  if (stretch != NULL && stretch->part->kind == UVSMTP__PART_SOURCE)
    close_attached(attached_of(r, stretch->part));
  r->begun = false;
}

/* Whether a file or source has given as much as it was to give: the message's length counts on it.
 */
static bool keeps_length(const uvsmtp__reader_t *r, const uvsmtp_part_t *part)
{
  uint64_t len =
      part->kind == UVSMTP__PART_FILE ? part->file_len : uvsmtp__attached_info(r, part)->length;
  if (len == UVSMTP_LENGTH_UNKNOWN)
    return true;
  return r->in_end ? r->given == len : r->given <= len;
}

/* Reads on when `in` is empty. 0, UVSMTP_PENDING or an error; `in_end` at the end. */
static int read_content(uvsmtp__reader_t *r, const uvsmtp_part_t *part)
{
  uvsmtp_source_t *source;
  int err;
  if (r->in.len > 0 || r->in_end)
    return 0;
  if (part->kind == UVSMTP__PART_MEMORY) { /* is given at once */
    r->in_end = true;
    return 0;
  }
  source = part->kind == UVSMTP__PART_FILE ? &r->file : part->source;
  err = source->ops->next(source, &r->in);
  if (err == UVSMTP_PENDING)
    return err;
  if (err != 0)
    return source_failed(r, part, err);
  r->in_end = r->in.len == 0;
  r->given += r->in.len;
  return keeps_length(r, part) ? 0 : content_failed(r, part, UVSMTP_ESOURCE, CHANGED);
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
