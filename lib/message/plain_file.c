/*
 * Files read with the C library, where nobody offers anything better: each piece blocks the caller
 * as long as the disk takes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "message/reader.h"

#define PIECE ((size_t)16 * 1024)

typedef struct {
  uvsmtp_mem_t mem;
  FILE *file;
  char bytes[PIECE];
} plain_file_t;

static int plain_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  plain_file_t *f = source->impl;
  (void)target;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  rewind(f->file);
  return 0;
}

static int plain_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  plain_file_t *f = source->impl;
  *piece = (uvsmtp_slice_t){f->bytes, fread(f->bytes, 1, sizeof(f->bytes), f->file)};
  return !ferror(f->file) ? 0 : errno != 0 ? -errno : -EIO;
}

static void plain_close(uvsmtp_source_t *source)
{
  (void)source;
}

static const uvsmtp_source_ops_t plain_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = plain_open,
    .next = plain_next,
    .close = plain_close,
};

static int open_plain(void *ctx, uvsmtp_source_t *source, const char *path, const uvsmtp_mem_t *mem)
{
  FILE *file = fopen(path, "rb");
  plain_file_t *f;
  (void)ctx;
  if (file == NULL)
    return -errno;
  f = uvsmtp__malloc(mem, sizeof(*f));
  if (f == NULL) {
    fclose(file);
    return UVSMTP_ENOMEM;
  }
  f->mem = *uvsmtp__mem(mem);
  f->file = file;
  memset(source, 0, sizeof(*source));
  source->ops = &plain_ops;
  source->impl = f;
  return 0;
}

static void release_plain(uvsmtp_source_t *source)
{
  plain_file_t *f = source->impl;
  uvsmtp_mem_t mem = f->mem;
  fclose(f->file);
  uvsmtp__free(&mem, f);
}

const uvsmtp_files_t uvsmtp__plain_files = {sizeof(uvsmtp_files_t), open_plain, release_plain};
