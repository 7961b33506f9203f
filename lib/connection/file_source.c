#include "connection/file_source.h"

/*
 * A file or a descriptor as a source. While the reader works on one chunk, libuv's thread pool
 * fills the other; if the reader is faster it waits and is woken.
 *
 *   chunk[out] is the next to give, chunk[in] the next to fill; one that is with the reader stays
 *   `full` until the reader asks for the next, so it is not overwritten.
 *
 * A file is opened at once, as fopen does it, so that a wrong path is found early and the length is
 * known; opening and fstat are the only calls here that may block. Each reading starts at position
 * 0 by itself. A file that is longer or shorter than it was fails with UVSMTP_ESOURCE: a message is
 * never completed with half of it.
 *
 * A read that runs in the thread pool cannot be stopped. A reading that is closed meanwhile leaves
 * it `stale`: the chunks stay until it has ended, and a new reading begins then. A release
 * meanwhile leaves everything `orphaned`, to be freed then.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

typedef struct chunk_s {
  size_t len;
  bool full; /* or with the reader */
  char bytes[UVSMTP__FILE_CHUNK];
} chunk_t;

typedef struct file_s {
  uvsmtp_mem_t mem;
  uv_loop_t *loop;
  uvsmtp_source_t *source; /* while a reading is open */
  uv_file fd;
  bool owned;      /* opened here: has positions, is closed here */
  bool used;       /* a reading has begun */
  uint64_t length; /* or UVSMTP_LENGTH_UNKNOWN */

  uv_fs_t req;
  bool in_flight, stale, orphaned;
  bool opened, waiting, ended;
  int err;
  uint64_t done;  /* bytes read in this reading */
  chunk_t *chunk; /* two; NULL while nothing is open */
  unsigned in, out;
  bool lent; /* the chunk before `out` is with the reader */
} file_t;

static void on_read(uv_fs_t *req);

static void free_chunks(file_t *f)
{
  uvsmtp__free(&f->mem, f->chunk);
  f->chunk = NULL;
}

static void destroy(file_t *f)
{
  uvsmtp_mem_t mem = f->mem;
  uv_fs_t req;
  if (f->owned) {
    uv_fs_close(f->loop, &req, f->fd, NULL);
    uv_fs_req_cleanup(&req);
  }
  free_chunks(f);
  uvsmtp__free(&mem, f);
}

/* Starts a read into the next chunk if it is free and there is more to read. */
static void fill(file_t *f)
{
  chunk_t *chunk = &f->chunk[f->in];
  uv_buf_t buf;
  int err;
  if (!f->opened || f->in_flight || f->ended || f->err != 0 || chunk->full)
    return;
  buf = uv_buf_init(chunk->bytes, sizeof(chunk->bytes));
  f->req.data = f;
  err = uv_fs_read(f->loop, &f->req, f->fd, &buf, 1, f->owned ? (int64_t)f->done : -1, on_read);
  if (err < 0)
    f->err = err == UV_ENOMEM ? UVSMTP_ENOMEM : err;
  else
    f->in_flight = true;
}

/* Notes what a read has brought. */
static void take(file_t *f, ssize_t result)
{
  bool known = f->length != UVSMTP_LENGTH_UNKNOWN;
  if (result < 0) {
    f->err = (int)result;
  } else if (result == 0) {
    f->ended = true;
    if (known && f->done != f->length)
      f->err = UVSMTP_ESOURCE;
  } else {
    f->done += (uint64_t)result;
    if (known && f->done > f->length) {
      f->err = UVSMTP_ESOURCE;
      return;
    }
    f->chunk[f->in].len = (size_t)result;
    f->chunk[f->in].full = true;
    f->in ^= 1;
  }
}

static void on_read(uv_fs_t *req)
{
  file_t *f = req->data;
  ssize_t result = req->result;
  uv_fs_req_cleanup(req);
  f->in_flight = false;
  if (f->orphaned) {
    destroy(f);
    return;
  }
  if (!f->stale)
    take(f, result);
  f->stale = false;
  if (!f->opened) {
    free_chunks(f);
    return;
  }
  fill(f);
  /* After a stale read there may still be nothing to tell. Last: the reader may release in here. */
  if (f->waiting && (f->chunk[f->out].full || f->ended || f->err != 0)) {
    f->waiting = false;
    uvsmtp_source_wake(f->source);
  }
}

/* ---- the source's functions ----------------------------------------------------------------- */

static int file_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  file_t *f = source->impl;
  if (f == NULL || f->opened || (f->used && !f->owned))
    return UVSMTP_ESOURCE;
  if (f->chunk == NULL)
    f->chunk = uvsmtp__malloc(&f->mem, 2 * sizeof(*f->chunk));
  if (f->chunk == NULL)
    return UVSMTP_ENOMEM;
  f->chunk[0].full = f->chunk[1].full = false;
  f->source = source;
  f->used = f->opened = true;
  f->waiting = f->ended = f->lent = false;
  f->err = 0;
  f->done = 0;
  f->in = f->out = 0;
  *info =
      (uvsmtp_source_info_t){.length = f->length, .content = f->owned ? 0 : UVSMTP_CONTENT_ONCE};
  fill(f);
  return 0;
}

static int file_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  file_t *f = source->impl;
  *piece = (uvsmtp_slice_t){NULL, 0};
  if (f->lent) {
    f->chunk[f->out ^ 1].full = false;
    f->lent = false;
  }
  fill(f);
  if (f->chunk[f->out].full) {
    *piece = (uvsmtp_slice_t){f->chunk[f->out].bytes, f->chunk[f->out].len};
    f->out ^= 1;
    f->lent = true;
    return 0;
  }
  if (f->err != 0 || f->ended)
    return f->err;
  f->waiting = true;
  return UVSMTP_PENDING;
}

static void file_close(uvsmtp_source_t *source)
{
  file_t *f = source->impl;
  f->opened = f->waiting = false;
  if (f->in_flight)
    f->stale = true;
  else
    free_chunks(f);
}

static uint64_t file_length(const uvsmtp_source_t *source)
{
  const file_t *f = source->impl;
  return f->length;
}

static const uvsmtp_source_ops_t file_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = file_open,
    .next = file_next,
    .close = file_close,
    .length = file_length,
};

/* ---- making and releasing -------------------------------------------------------------------- */

static int make(uvsmtp_source_t *source, uv_loop_t *loop, const uvsmtp_mem_t *mem, uv_file fd)
{
  file_t *f;
  mem = uvsmtp__mem(mem);
  f = uvsmtp__calloc(mem, 1, sizeof(*f));
  if (f == NULL)
    return UVSMTP_ENOMEM;
  f->mem = *mem;
  f->loop = loop;
  f->fd = fd;
  f->length = UVSMTP_LENGTH_UNKNOWN;
  source->ops = &file_ops;
  source->impl = f;
  return 0;
}

/* The length of an open regular file, or why it cannot be a source. */
static int measure(uv_loop_t *loop, uv_file fd, uint64_t *length)
{
  uv_fs_t req;
  int err = uv_fs_fstat(loop, &req, fd, NULL);
  uint64_t kind = req.statbuf.st_mode & S_IFMT;
  *length = req.statbuf.st_size;
  uv_fs_req_cleanup(&req);
  if (err < 0)
    return err;
  if (kind == S_IFDIR)
    return UV_EISDIR;
  return kind == S_IFREG ? 0 : UVSMTP_ESOURCE;
}

int uvsmtp__source_file(uvsmtp_source_t *source, uv_loop_t *loop, const char *path,
                        const uvsmtp_mem_t *mem)
{
  uint64_t length;
  uv_fs_t req;
  uv_file fd;
  int err;
  memset(source, 0, sizeof(*source));
  if (path == NULL)
    return UVSMTP_EINVAL;
  /* O_NONBLOCK: to open a FIFO would wait for its writer. */
  fd = uv_fs_open(loop, &req, path, UV_FS_O_RDONLY | UV_FS_O_NONBLOCK, 0, NULL);
  uv_fs_req_cleanup(&req);
  if (fd < 0)
    return fd == UV_ENOMEM ? UVSMTP_ENOMEM : fd;
  err = measure(loop, fd, &length);
  if (err == 0)
    err = make(source, loop, mem, fd);
  if (err == 0) {
    file_t *f = source->impl;
    f->owned = true;
    f->length = length;
  } else {
    uv_fs_close(loop, &req, fd, NULL);
    uv_fs_req_cleanup(&req);
  }
  return err;
}

int uvsmtp__source_fd(uvsmtp_source_t *source, uv_loop_t *loop, uv_file fd, const uvsmtp_mem_t *mem)
{
  memset(source, 0, sizeof(*source));
  return fd < 0 ? UVSMTP_EINVAL : make(source, loop, mem, fd);
}

int uvsmtp_source_file(uvsmtp_source_t *source, uv_loop_t *loop, const char *path)
{
  return uvsmtp__source_file(source, loop, path, NULL);
}

int uvsmtp_source_fd(uvsmtp_source_t *source, uv_loop_t *loop, uv_file fd)
{
  return uvsmtp__source_fd(source, loop, fd, NULL);
}

void uvsmtp_source_release(uvsmtp_source_t *source)
{
  file_t *f;
  if (source->ops != &file_ops || source->impl == NULL)
    return;
  f = source->impl;
  source->impl = NULL;
  f->opened = false;
  f->orphaned = true;
  if (!f->in_flight)
    destroy(f);
  else
    uv_cancel((uv_req_t *)&f->req);
}

static int open_file(void *ctx, uvsmtp_source_t *source, const char *path, const uvsmtp_mem_t *mem)
{
  return uvsmtp__source_file(source, ctx, path, mem);
}

const uvsmtp_files_t *uvsmtp_loop_files(void)
{
  static const uvsmtp_files_t files = {sizeof(files), open_file, uvsmtp_source_release};
  return &files;
}
